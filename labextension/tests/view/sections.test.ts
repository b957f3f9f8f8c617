/** Which of a section's items become rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Item } from '../../src/transcript';
import { layout } from '../../src/view/sections';

const call = (id: string): Item => ({ type: 'tool_call', id, status: 'in_progress' }) as Item;
const asks = (call: string, kind: string, outcome: string | null): Item =>
  ({ type: 'permission', id: `p-${call}`, request: { kind, tool_call_id: call }, outcome, message: null }) as Item;
const rows = (...items: Item[]): string[] =>
  layout(items, true).rows.map(row => (row.type === 'item' ? row.item.id : 'steps'));

test('a question is told once, before and after its answer', () => {
  assert.deepEqual(rows(call('a'), asks('a', 'question', null)), ['p-a']);
  assert.deepEqual(rows(call('a'), asks('a', 'question', 'selected')), ['p-a']);
  assert.deepEqual(rows(call('a'), asks('a', 'plan', 'selected')), ['p-a']);
});

test('a tool is told by its call, and asked about below it while that waits', () => {
  assert.deepEqual(rows(call('a'), asks('a', 'tool', null)), ['a', 'p-a']);
  assert.deepEqual(rows(call('a'), asks('a', 'tool', 'selected')), ['a']);
});
