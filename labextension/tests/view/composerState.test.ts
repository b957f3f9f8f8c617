/** What is written, over the end of a page: nothing lost, nothing twice. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { ComposerState } from '../../src/view/composerState';

class Storage extends Map<string, string> {
  getItem(key: string): string | null {
    return this.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.set(key, value);
  }
  removeItem(key: string): void {
    this.delete(key);
  }
}

beforeEach(() => {
  Object.assign(globalThis, { localStorage: new Storage(), window: new EventTarget() });
});

const open = (): ComposerState => new ComposerState('one', () => undefined);
const leave = (state: ComposerState): void => {
  window.dispatchEvent(new Event('pagehide'));
  state.dispose();
};

const said = (text: string) => [{ type: 'text', text }] as const;

test('what was on its way is a draft again, unless it arrived', () => {
  const before = open();
  before.leaves('a', said('first'), []);
  before.leaves('b', said('second'), [{ type: 'file', path: 'x' }]);
  before.leaves('c', said('third'), []);
  before.arrived('c');
  before.setText('begun');
  leave(before);

  const after = open();
  assert.equal(after.text, 'begun', 'the log is not read yet');
  after.takeBack(id => id === 'a');
  assert.equal(after.text, 'second\nbegun');
  assert.deepEqual(after.context, [{ type: 'file', path: 'x' }]);
  after.takeBack(() => false);
  assert.equal(after.text, 'second\nbegun');
  leave(after);
  assert.equal(open().text, 'second\nbegun');
});

test('a page that ends before the log was read keeps it for the next one', () => {
  const first = open();
  first.leaves('a', said('words'), []);
  leave(first);
  leave(open());
  const third = open();
  third.takeBack(() => false);
  assert.equal(third.text, 'words');
});

test('what arrived leaves nothing behind', () => {
  const state = open();
  state.leaves('a', said('words'), []);
  state.arrived('a');
  leave(state);
  assert.equal(localStorage.getItem('agent-lab:draft:one'), null);
});

test('a draft that somebody has broken is no draft', () => {
  localStorage.setItem('agent-lab:draft:one', '{"text": 1, "leaving": "x"}');
  const state = open();
  state.takeBack(() => false);
  assert.equal(state.text, '');
});

test('what is attached comes back, and goes with what was sent', () => {
  const block = { type: 'resource', uri: 'paste:', name: 'words', mime_type: 'text/plain', text: 'long' } as const;
  const before = open();
  before.attach({ block, note: 'cut', pasted: true });
  leave(before);
  const after = open();
  assert.deepEqual(after.attached, [{ block, note: 'cut', pasted: true }]);
  assert.ok(!after.empty);
  assert.deepEqual(after.content(), [block]);
  after.clear();
  leave(after);
  assert.deepEqual(open().attached, []);
});

test('what is too large for the browser to keep does not stop the words from being kept', () => {
  const before = open();
  before.setText('words');
  before.attach({ block: { type: 'image', mime_type: 'image/png', data: 'A'.repeat(2_000_000) }, note: '', pasted: false });
  leave(before);
  const after = open();
  assert.equal(after.text, 'words');
  assert.deepEqual(after.attached, []);
});

test('what was refused comes back with all that went along', () => {
  const state = open();
  state.setText('since');
  state.giveBack([{ type: 'text', text: 'sent' }, { type: 'image', mime_type: 'image/png', data: 'AA' }], [{ type: 'file', path: 'x' }]);
  assert.equal(state.text, 'sent\nsince');
  assert.deepEqual(state.content().map(block => block.type), ['text', 'image']);
  assert.deepEqual(state.context, [{ type: 'file', path: 'x' }]);
});

test('attached things that somebody has broken are none', () => {
  localStorage.setItem('agent-lab:draft:one:attached', '[{"block": 1}, {}, {"block": {"type": "text"}}]');
  assert.deepEqual(open().attached, []);
});
