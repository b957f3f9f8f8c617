/** Which keys are the panel's and which go on to the page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isForPage } from '../../src/view/shortcutKeys';

const press = (keys: string, more = {}) => {
  const parts = keys.split('+');
  return {
    key: parts.at(-1) ?? '', ctrlKey: parts.includes('Ctrl'), metaKey: parts.includes('Cmd'),
    altKey: parts.includes('Alt'), shiftKey: parts.includes('Shift'), isComposing: false, ...more
  };
};

test('what writes, moves or chooses in a field is the field\u2019s', () => {
  for (const keys of [
    'a', 'A', 'Enter', 'Shift+Enter', 'Escape', 'Ctrl+Control', 'Ctrl+a', 'Ctrl+c', 'Ctrl+v', 'Ctrl+x', 'Ctrl+z', 'Ctrl+y',
    'Ctrl+Shift+Z', 'Ctrl+Shift+V', 'Ctrl+Enter', 'Ctrl+ArrowLeft', 'Ctrl+Shift+End', 'Ctrl+Backspace', 'Ctrl+Alt+q'
  ]) {
    assert.equal(isForPage(press(keys), false), false, keys);
  }
});

test('other shortcuts are the page\u2019s', () => {
  for (const keys of ['Ctrl+s', 'Ctrl+b', 'Ctrl+Shift+C', 'Ctrl+Tab', 'Ctrl+Shift+]', 'Ctrl+,', 'Ctrl+Shift+D']) {
    assert.equal(isForPage(press(keys), false), true, keys);
  }
});

test('nothing is passed on while an input method composes', () => {
  assert.equal(isForPage(press('Ctrl+s', { isComposing: true }), false), false);
});

test('a Mac\u2019s Control moves in the field', () => {
  assert.equal(isForPage(press('Ctrl+b'), true), false);
  assert.equal(isForPage(press('Cmd+b'), true), true);
  assert.equal(isForPage(press('Cmd+c'), true), false);
  assert.equal(isForPage(press('Ctrl+Tab'), true), true);
  assert.equal(isForPage(press('Ctrl+Shift+]'), true), true);
});
