/** A change of a cell in words and lines: its title, what goes and what comes. Pure. */

import type { CellChange, DiffBlock, PermissionRequest, ToolContent } from '../protocol.js';
import { diffLines } from './diffLines.js';
import type { DiffLine } from './diffLines.js';
import { t } from './i18n.js';

/** What people call a cell ("[7]"); undefined where the page does not know. */
export type CellName = (notebook: string, cellId: string) => string | undefined;

const SHORT_ID = 8;

/** The question a proposal puts: "Change cell [7]?". */
export function changeTitle({ change, title }: PermissionRequest, name?: CellName): string {
  if (!change) {
    return title;
  }
  const call = (id: string): string => name?.(change.notebook, id) ?? id.slice(0, SHORT_ID);
  const said = /\[\d+\]/.exec(title)?.[0];
  const cell = said ?? call(change.cell_id);
  const behind = change.after_cell_id;
  switch (change.operation) {
    case 'edit':
      return t('Change cell {cell}?', { cell });
    case 'delete':
      return t('Delete cell {cell}?', { cell });
    case 'insert':
      return behind ? t('New cell after {cell}?', { cell: call(behind) }) : t('New cell at the top?');
    case 'move':
      return behind
        ? t('Move cell {cell} below {other}?', { cell, other: call(behind) })
        : t('Move cell {cell} to the top?', { cell });
  }
}

/** The same without the question mark, for the line that tells what became of it. */
export const changeName = (request: PermissionRequest, name?: CellName): string =>
  changeTitle(request, name).replace(/[?？]$/, '');

/** The lines of a change; a cell that is moved stays as it is. */
export function changeLines({ operation, old_source, new_source }: CellChange): DiffLine[] {
  switch (operation) {
    case 'insert':
      return diffLines(null, new_source ?? '');
    case 'delete':
      return diffLines(old_source, '');
    case 'move':
      return (old_source ?? '').split('\n').map(text => ({ sign: ' ' as const, text }));
    case 'edit':
      return diffLines(old_source, new_source ?? '');
  }
}

const blocks = new WeakMap<CellChange, DiffBlock>();

/** As a change to a file, for counting; the same object each time. */
function asDiff(change: CellChange): DiffBlock {
  let block = blocks.get(change);
  if (!block) {
    const { operation, notebook, old_source, new_source } = change;
    block = {
      type: 'diff', path: notebook, line: null, old_text: old_source,
      new_text: operation === 'delete' ? '' : operation === 'move' ? old_source ?? '' : new_source ?? ''
    };
    blocks.set(change, block);
  }
  return block;
}

export const cellDiffs = (content: readonly ToolContent[]): DiffBlock[] =>
  content.flatMap(block => (block.type === 'cell_diff' ? [asDiff(block.change)] : []));

/** What was really done: the person may have edited the proposal. */
export const doneChange = (content: readonly ToolContent[]): CellChange | undefined =>
  content.find(block => block.type === 'cell_diff')?.change;

/** A cell's new source can be edited before it is accepted. */
export const isEditable = ({ operation }: CellChange): boolean => operation === 'edit' || operation === 'insert';

/** A version can be tried in a copy of the kernel. */
export const isTriable = ({ operation, cell_type }: CellChange): boolean =>
  cell_type === 'code' && (operation === 'edit' || operation === 'insert');

/** What answers a proposal with a source of one's own; {}: as it was proposed. */
export const editedInput = (change: CellChange, edited: string | undefined): { updated_input?: { source: string } } =>
  edited === undefined || edited === change.new_source ? {} : { updated_input: { source: edited } };
