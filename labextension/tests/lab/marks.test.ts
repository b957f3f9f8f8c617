import assert from 'node:assert/strict';
import test from 'node:test';

import { describeMark, readMark, sourceHash } from '../../src/lab/marks';
import { namesIn } from '../../src/lab/names';

const WROTE = { session: 's', turn: 't', agent: 'claude', model: 'claude-opus-4-1', at: '2026-11-21T14:02:00.000Z' };
const say = (text: string, ...values: string[]) => text.replace(/%(\d)/g, (_, n: string) => values[Number(n) - 1] ?? '');

void test('the hash is the one that the server makes', () => {
  // tests/server/test_provenance.py has the same.
  assert.equal(sourceHash(''), '00000000');
  assert.equal(sourceHash('df.mean()\n'), 'a73d489a');
  assert.equal(sourceHash('é😀'), '7f805a06');
});

void test('who wrote, who ran, and what was edited since', () => {
  const metadata = { ...WROTE, hash: sourceHash('x = 1'), outputs: { ...WROTE, execution_count: 3 } };
  const mark = readMark(metadata, 'x = 1', 3);
  assert.equal(mark?.wrote?.edited, false);
  assert.equal(mark.ran?.session, 's');
  const text = describeMark(mark, 'Fix the groupby', say, 'en-GB');
  assert.match(text, /^Written by claude \(opus\) on 21 Nov 2026, \d\d:02; run by claude \(opus\) on .*; in “Fix the groupby”$/);
  const later = readMark(metadata, 'x = 2', 4);
  assert.equal(later?.wrote?.edited, true);
  assert.equal(later.ran, null);
  assert.match(describeMark(later, null, say, 'en-GB'), /:02, edited since$/);
  const onlyRun = readMark({ outputs: { ...WROTE, execution_count: 3 } }, 'x', 3);
  assert.ok(onlyRun);
  assert.match(describeMark(onlyRun, null, say, 'en-GB'), /^Run by claude/);
});

void test('what was written by hand breaks nothing', () => {
  for (const metadata of [undefined, null, 3, 'x', [], {}, { session: 1 }, { outputs: 'x' }, { outputs: null }]) {
    assert.equal(readMark(metadata, '', null), null);
  }
  const odd = readMark({ ...WROTE, at: 'yesterday', model: 7, hash: 4 }, '', null);
  assert.ok(odd);
  assert.equal(describeMark(odd, null, say), 'Written by claude');
});

void test('names, not attributes', () => {
  const names = namesIn('df["a"].mean(axis=1) + f"{größe}" if x1 else np.nan  # y');
  assert.deepEqual([...names].sort(), ['a', 'axis', 'df', 'else', 'f', 'größe', 'if', 'np', 'x1', 'y'].sort());
});
