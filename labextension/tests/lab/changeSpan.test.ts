import assert from 'node:assert/strict';
import test from 'node:test';

import { changeSpan } from '../../src/lab/changeSpan';

const texts = ['', 'a', 'ab', 'aba', 'abab', 'xaby', '😀', '😁', 'a😀b', 'a😁b', '😀😀', '😀', 'é\n', 'def f():\n  pass', 'def g():\n  pass'];

const halves = (text: string): boolean => /[\ud800-\udbff]$|^[\udc00-\udfff]/.test(text);

void test('what is replaced makes the other text, and cuts no character', () => {
  for (const before of texts) {
    for (const after of texts) {
      const { start, end, text } = changeSpan(before, after);
      assert.equal(before.slice(0, start) + text + before.slice(end), after);
      for (const part of [before.slice(0, start), text, before.slice(end)]) {
        assert.ok(!halves(part), JSON.stringify([before, after, part]));
      }
    }
  }
});

void test('only what differs is replaced', () => {
  assert.deepEqual(changeSpan('df.mean()\ndf', 'df.mean(axis=1)\ndf'), { start: 8, end: 8, text: 'axis=1' });
  assert.deepEqual(changeSpan('same', 'same'), { start: 4, end: 4, text: '' });
});
