/** Text on its way from a terminal or a traceback into a chip. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { countLines, plainText } from '../../src/lab/text';

test('escape sequences go, text stays', () => {
  assert.equal(plainText('\u001b[31mred\u001b[0m \u001b[1;4mline\u001b[m'), 'red line');
  assert.equal(plainText('\u001b]0;a title\u0007prompt$ ls'), 'prompt$ ls');
  assert.equal(plainText('\u001b]8;;https://example.org\u001b\\link\u001b]8;;\u001b\\'), 'link');
  assert.equal(plainText('\u001b(Btext\u001b7\u001b8\u001b='), 'text');
  assert.equal(plainText('\u009b32mgreen\u009b0m'), 'green');
});

test('an unfinished sequence swallows nothing after its line', () => {
  assert.equal(plainText('a\u001b]0;title\u001b[1mb'), 'ab');
  assert.equal(plainText('a\u001b'), 'a');
});

test('control characters go, tabs and lines stay', () => {
  assert.equal(plainText('a\u0000b\u0007\tc\r\nd\re'), 'ab\tc\nd\ne');
});

test('the padding of a terminal’s lines goes', () => {
  assert.equal(plainText('one   \ntwo\t \n  three'), 'one\ntwo\n  three');
});

test('brackets, emoji and other scripts are text', () => {
  const text = 'arr[0] \u{1f600} \u05e9\u05dc\u05d5\u05dd ¬ é';
  assert.equal(plainText(text), text);
});

test('a selection’s last line may end or not', () => {
  assert.equal(countLines('a'), 1);
  assert.equal(countLines('a\n'), 1);
  assert.equal(countLines('a\n\nb\n\n'), 3);
});
