/** Costs as they are told: what is estimated says so, what is unknown is no number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cost } from '../../src/view/format';

test('an unknown cost is a dash, never nothing', () => {
  assert.equal(cost(null, null), '\u2013');
  assert.equal(cost(0, 'agent'), '$0.00');
});

test('an estimated cost says so', () => {
  assert.equal(cost(1.25, 'estimate'), '$1.25 estimated');
  assert.equal(cost(1.25, 'agent'), '$1.25');
});
