/** Words of an agent before they are drawn: no terminal codes, nothing that hides. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hasCodes, hides, words } from '../../src/view/text';

test('terminal codes and control characters are no words', () => {
  const told = 'a \u001b[31mred\u001b[0m \u001b]8;;https://example.org\u0007link\u001b]8;;\u0007 \u0007\u0008bell\u009b1m';
  assert.ok(hasCodes(told));
  assert.equal(words(told), 'a red link bell');
  assert.equal(words('an end \u001b]0;without one\nand a line'), 'an end \nand a line');
});

test('words of other scripts stay as they are', () => {
  const arabic = '\u202bمرحبا\u202c\tand\nמה';
  assert.ok(!hasCodes(arabic));
  assert.equal(words(arabic), arabic);
  assert.ok(hides(arabic), 'a command with them shows them');
});
