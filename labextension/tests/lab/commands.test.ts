/** A layout comes back from a file that anything may have written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readOpenArgs } from '../../src/lab/commands';

test('what the restorer kept is read back as it was', () => {
  const kept = { key: 'k', session: 's', ratio: 0.4, collapsed: 'chat', orientation: 'vertical' } as const;
  assert.deepEqual(readOpenArgs(kept), kept);
});

test('what has another shape is left out', () => {
  assert.deepEqual(
    readOpenArgs({ session: 7, cwd: '', ratio: 1, collapsed: 'both', orientation: null, isLauncher: true }),
    {}
  );
  assert.deepEqual(readOpenArgs({ ratio: Number.NaN }), {});
});
