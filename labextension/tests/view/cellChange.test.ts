/** A proposal in words: what is asked, what goes and comes, and what an answer carries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { CellChange, PermissionRequest } from '../../src/protocol';
import { cellDiffs, changeLines, changeName, changeTitle, editedInput, isTriable } from '../../src/view/cellChangeWords';
import { diffCounts } from '../../src/view/diffLines';
import { effectVerb } from '../../src/view/effects';

const change = (told: Partial<CellChange>): CellChange => ({
  operation: 'edit', notebook: 'eda.ipynb', cell_id: 'a1b2c3d4e5f6', cell_type: 'code', old_source: 'x = 1', new_source: 'x = 2',
  after_cell_id: null, old_after_cell_id: null, old_cell_type: null, ...told
});
const asked = (told: Partial<CellChange>, title = ''): PermissionRequest => ({
  type: 'permission_request', request_id: 'r', kind: 'cell_change', title, options: [], tool_call_id: null, description: '',
  input: null, questions: [], change: change(told), effects: null, trial: null
});

test('a proposal asks in words, with the names that people give to cells', () => {
  const name = (_: string, id: string): string | undefined => (id === 'three' ? '[3]' : undefined);
  assert.equal(changeTitle(asked({}, 'Change cell [7]')), 'Change cell [7]?');
  assert.equal(changeTitle(asked({})), 'Change cell a1b2c3d4?');
  assert.equal(changeTitle(asked({ operation: 'insert', after_cell_id: 'three' }), name), 'New cell after [3]?');
  assert.equal(changeTitle(asked({ operation: 'insert', after_cell_id: '' }), name), 'New cell at the top?');
  assert.equal(changeTitle(asked({ operation: 'delete' }, 'Delete cell [4]')), 'Delete cell [4]?');
  assert.equal(changeTitle(asked({ operation: 'move', after_cell_id: 'three' }, 'Move cell [2]'), name), 'Move cell [2] below [3]?');
  assert.equal(changeTitle(asked({ operation: 'move', after_cell_id: '' }, 'Move cell [2]')), 'Move cell [2] to the top?');
  assert.equal(changeName(asked({}, 'Change cell [7]')), 'Change cell [7]');
});

test('what goes and what comes', () => {
  const lines = (told: Partial<CellChange>): string[] => changeLines(change(told)).map(({ sign, text }) => sign + text);
  assert.deepEqual(lines({}), ['−x = 1', '+x = 2']);
  assert.deepEqual(lines({ operation: 'insert', old_source: null }), ['+x = 2']);
  assert.deepEqual(lines({ operation: 'delete', new_source: null }), ['−x = 1']);
  assert.deepEqual(lines({ operation: 'move', new_source: 'x = 1' }), [' x = 1']);
});

test('a move counts no line as changed', () => {
  const count = (told: Partial<CellChange>) => diffCounts(cellDiffs([{ type: 'cell_diff', change: change(told) }]));
  assert.deepEqual(count({ operation: 'move', new_source: 'x = 1' }), { added: 0, removed: 0 });
  assert.deepEqual(count({ operation: 'delete', new_source: null }), { added: 0, removed: 1 });
  assert.deepEqual(count({}), { added: 1, removed: 1 });
});

test('only what a person edited goes along', () => {
  assert.deepEqual(editedInput(change({}), undefined), {});
  assert.deepEqual(editedInput(change({}), 'x = 2'), {});
  assert.deepEqual(editedInput(change({}), ''), { updated_input: { source: '' } });
});

test('only code can be tried', () => {
  assert.ok(isTriable(change({})));
  assert.ok(!isTriable(change({ cell_type: 'markdown' })));
  assert.ok(!isTriable(change({ operation: 'delete' })));
});

test('an effect that depends says so', () => {
  assert.equal(effectVerb({ kind: 'rebinds', name: 'df', detail: '', certain: true }), 'rebinds');
  assert.equal(effectVerb({ kind: 'writes', name: 'f', detail: '', certain: false }), 'may write');
});
