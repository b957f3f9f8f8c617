/**
 * What the server may do with an open notebook: through its shared model, so that undo takes it back and
 * unsaved work stays; a collaborator sees it too. Nothing is saved, focus and sight stay where they are.
 */
import { isCodeCellModel } from '@jupyterlab/cells';
import type { Cell, ICodeCellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { JSONExt } from '@lumino/coreutils';
import type { PartialJSONObject, ReadonlyJSONValue } from '@lumino/coreutils';

import { idsOf } from './cellIds';
import { changeSpan } from './changeSpan';

export type Fields = Readonly<Record<string, unknown>>;
type SharedNotebook = NonNullable<NotebookPanel['content']['model']>['sharedModel'];
type SharedCell = SharedNotebook['cells'][number];
type Output = Parameters<ICodeCellModel['outputs']['add']>[0];

/** Why something is not done; nothing has been changed then. */
export class Refusal extends Error {
  constructor(
    readonly reason: string,
    message: string
  ) {
    super(message);
  }
}

const MARK = 'agent_lab';

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string') {
    throw new Refusal('invalid', `\`${key}\` must be a string.`);
  }
  return value;
}

function record(value: unknown, key: string): PartialJSONObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('invalid', `\`${key}\` must be an object.`);
  }
  return value as PartialJSONObject;
}

function sharedOf(panel: NotebookPanel): SharedNotebook {
  const model = panel.content.model;
  if (!model) {
    throw new Refusal('not_open', 'The notebook is still being opened. Try again.');
  }
  return model.sharedModel;
}

function writable(panel: NotebookPanel): SharedNotebook {
  if (panel.content.model?.readOnly === true || panel.context.contentsModel?.writable === false) {
    throw new Refusal('locked', 'This notebook is read-only.');
  }
  return sharedOf(panel);
}

function indexOf(shared: SharedNotebook, id: string): number {
  const index = shared.cells.findIndex(cell => cell.getId() === id);
  if (index === -1) {
    throw new Refusal('cell_not_found', `There is no cell with the id ${id}. Read the notebook for those there are.`);
  }
  if (shared.cells.slice(index + 1).some(cell => cell.getId() === id)) {
    throw new Refusal('ambiguous', `More than one cell has the id ${id}. Save and open the notebook again.`);
  }
  return index;
}

function cellAt(shared: SharedNotebook, id: string): SharedCell {
  return shared.cells[indexOf(shared, id)] as SharedCell;
}

/** The index below `after_cell_id`: "" is the top, null the end. */
function below(shared: SharedNotebook, fields: Fields): number {
  const after = fields['after_cell_id'];
  if (after === '') {
    return 0;
  }
  return after === null || after === undefined ? shared.cells.length : indexOf(shared, text(fields, 'after_cell_id')) + 1;
}

function expectSource(cell: SharedCell, fields: Fields): void {
  if (cell.getSource() !== text(fields, 'expected_source')) {
    throw new Refusal('cell_changed', 'The cell was changed meanwhile, so nothing was done. Read it again.');
  }
}

function expect(cell: SharedCell, fields: Fields, forbids: 'editable' | 'deletable'): void {
  expectSource(cell, fields);
  if (cell.getMetadata(forbids) === false) {
    throw new Refusal('locked', `This cell is locked: its metadata say that it is not ${forbids}.`);
  }
}

/** Laid over what is there, one key at a time; our own mark one level deeper. */
function setMetadata(cell: SharedCell, value: unknown): void {
  if (value === undefined || value === null) {
    return;
  }
  for (const [key, told] of Object.entries(record(value, 'metadata'))) {
    if (told === undefined) {
      continue;
    }
    const before: unknown = cell.getMetadata(key);
    const merges = key === MARK && typeof before === 'object' && before !== null;
    cell.setMetadata(key, merges ? { ...(before as object), ...(told as object) } : told);
  }
}

/** The source is a person's again: of our mark only what says who made the outputs stays. */
function unmark(cell: SharedCell): void {
  const mark: unknown = cell.getMetadata(MARK);
  if (typeof mark !== 'object' || mark === null) {
    return;
  }
  if ('outputs' in mark) {
    cell.setMetadata(MARK, { outputs: mark.outputs } as never);
  } else {
    cell.deleteMetadata(MARK);
  }
}

/** One step of undo: what a person typed just before is another one. */
function apart(undone: unknown, change: () => void): void {
  const { undoManager } = undone as { undoManager?: { stopCapturing(): void } | null };
  undoManager?.stopCapturing();
  change();
  undoManager?.stopCapturing();
}

/** A cell that stays where a person sees it, while others are drawn. */
interface Anchor {
  readonly id: string;
  /** Its top edge in the page. */
  readonly top: number;
  readonly over: AbortController;
  until: number;
}

/** Cells get their height over several frames, which the browser's own anchoring does not follow in each mode. */
const SETTLES = 400;
const anchors = new WeakMap<NotebookPanel, Anchor>();

/** The active cell where it is in sight, else the first that is; null where nothing is seen of the notebook. */
function anchorOf(panel: NotebookPanel): Anchor | null {
  const known = anchors.get(panel);
  if (known && !known.over.signal.aborted) {
    return known;
  }
  const { content } = panel;
  const { top, bottom } = content.outerNode.getBoundingClientRect();
  const inSight = (cell: Cell | null) => {
    const place = cell?.isAttached ? cell.node.getBoundingClientRect() : null;
    return place !== null && place.bottom > top && place.top < bottom;
  };
  const cell = inSight(content.activeCell) ? content.activeCell : content.widgets.find(inSight);
  return cell
    ? { id: cell.model.id, top: cell.node.getBoundingClientRect().top, over: new AbortController(), until: 0 }
    : null;
}

/** Until all is drawn, the person moves something, or another cell is to be shown. */
function hold(panel: NotebookPanel, anchor: Anchor): void {
  const { id, over, top } = anchor;
  anchor.until = performance.now() + SETTLES;
  if (anchors.get(panel) === anchor) {
    return;
  }
  anchors.set(panel, anchor);
  for (const type of ['wheel', 'pointerdown', 'keydown', 'touchmove']) {
    document.addEventListener(type, () => {
      over.abort();
    }, { capture: true, passive: true, signal: over.signal });
  }
  const step = () => {
    if (over.signal.aborted || panel.isDisposed) {
      return;
    }
    const cell = panel.content.widgets.find(({ model }) => model.id === id);
    const moved = cell?.isAttached ? cell.node.getBoundingClientRect().top - top : 0;
    if (Math.abs(moved) >= 1) {
      panel.content.outerNode.scrollTop += moved;
    }
    if (performance.now() < anchor.until) {
      requestAnimationFrame(step);
    } else {
      over.abort();
    }
  };
  requestAnimationFrame(step);
}

/** The active cell stays the same one, and what a person sees stays where it is. */
function undisturbed(panel: NotebookPanel, change: () => void): void {
  const { content } = panel;
  const active = content.activeCell?.model.id;
  const anchor = anchorOf(panel);
  change();
  const index = content.widgets.findIndex(cell => cell.model.id === active);
  if (index !== -1 && index !== content.activeCellIndex) {
    content.activeCellIndex = index;
  }
  if (anchor) {
    hold(panel, anchor);
  }
}

/** The last minor version of nbformat 4 that keeps no ids of cells. */
const WITHOUT_IDS = 4;
const named = new WeakSet<SharedCell>();

const keepsNoIds = ({ nbformat, nbformat_minor }: SharedNotebook): boolean => nbformat === 4 && nbformat_minor <= WITHOUT_IDS;

/**
 * Gives the cells of a notebook that was loaded without ids those that they get each time, in place of
 * JupyterLab's, which are others with each load. It stays as it is on disk until an agent changes it.
 */
export function nameCells({ content: { model } }: NotebookPanel): void {
  if (!model || model.collaborative || !keepsNoIds(model.sharedModel)) {
    return;
  }
  const { cells } = model.sharedModel;
  if (cells.some(cell => named.has(cell))) {
    return;
  }
  const ids = idsOf(cells.map(cell => ({ cell_type: cell.cell_type, source: cell.getSource() })));
  const { dirty } = model;
  model.sharedModel.transact(() => {
    cells.forEach((cell, index) => {
      (cell as unknown as { ymodel: { set(key: string, value: unknown): void } }).ymodel.set('id', ids[index]);
      named.add(cell);
    });
  }, false);
  model.dirty = dirty;
}

function read(panel: NotebookPanel, fields: Fields): unknown {
  const shared = sharedOf(panel);
  const bare = (cell: object): object =>
    fields['outputs'] === false && 'outputs' in cell ? { ...cell, outputs: [] } : cell;
  if (fields['cell_id'] !== undefined) {
    return bare(cellAt(shared, text(fields, 'cell_id')).toJSON());
  }
  const notebook = (panel.content.model as NonNullable<typeof panel.content.model>).toJSON() as unknown as {
    cells: object[];
  };
  // Its JSON has no ids where its format keeps none.
  return { ...notebook, cells: notebook.cells.map((cell, at) => ({ ...bare(cell), id: shared.cells[at]?.getId() })) };
}

/** What was deleted through here, whole, as long as its notebook is open: the notebook's own undo keeps it too. */
const deleted = new WeakMap<SharedNotebook, Map<string, Fields>>();

/** The cell as it was deleted through here; undefined where that is not known. */
export const deletedCell = (panel: NotebookPanel, id: string): Fields | undefined =>
  panel.content.model ? deleted.get(panel.content.model.sharedModel)?.get(id) : undefined;

function cellType(kind: unknown): 'code' | 'markdown' | 'raw' {
  if (kind !== 'code' && kind !== 'markdown' && kind !== 'raw') {
    throw new Refusal('invalid', '`cell_type` must be code, markdown or raw.');
  }
  return kind;
}

function insert(panel: NotebookPanel, fields: Fields): unknown {
  const shared = writable(panel);
  const told = record(fields['cell'], 'cell');
  const kind = cellType(told['cell_type']);
  const id = text(told, 'id');
  if (shared.cells.some(cell => cell.getId() === id)) {
    throw new Refusal('cell_exists', `There is a cell with the id ${id} already.`);
  }
  const index = below(shared, fields);
  const made = {
    cell_type: kind,
    id,
    source: text(told, 'source'),
    metadata: told['metadata'] === undefined ? {} : record(told['metadata'], 'metadata'),
    ...(kind !== 'code' ? (told['attachments'] === undefined ? {} : { attachments: record(told['attachments'], 'attachments') })
    : {
        outputs: readOutputs(told['outputs'] ?? []),
        execution_count: typeof told['execution_count'] === 'number' ? told['execution_count'] : null
      })
  } as Parameters<SharedNotebook['insertCell']>[1];
  undisturbed(panel, () => {
    apart(shared, () => {
      shared.insertCell(index, made);
    });
  });
  return { index };
}

/** Whose source it is now. */
function attribute(cell: SharedCell, fields: Fields): void {
  setMetadata(cell, fields['metadata']);
  if (fields['unmark'] === true) {
    unmark(cell);
  }
}

function edit(panel: NotebookPanel, fields: Fields): unknown {
  const shared = writable(panel);
  const index = indexOf(shared, text(fields, 'cell_id'));
  const cell = shared.cells[index] as SharedCell;
  expect(cell, fields, 'editable');
  const source = text(fields, 'source');
  const kind = fields['cell_type'] === undefined ? cell.cell_type : cellType(fields['cell_type']);
  if (kind !== cell.cell_type) {
    // A cell cannot change its type: as in JupyterLab, another one takes its place and its id.
    const id = cell.getId();
    const metadata = cell.getMetadata();
    undisturbed(panel, () => {
      apart(shared, () => {
        shared.transact(() => {
          shared.deleteCell(index);
          attribute(shared.insertCell(index, { cell_type: kind, id, source, metadata }), fields);
        });
      });
    });
    return { index };
  }
  const { start, end, text: replacement } = changeSpan(cell.getSource(), source);
  undisturbed(panel, () => {
    apart(cell, () => {
      cell.transact(() => {
        cell.updateSource(start, end, replacement);
        attribute(cell, fields);
      });
    });
  });
  return { index };
}

function remove(panel: NotebookPanel, fields: Fields): unknown {
  const shared = writable(panel);
  const index = indexOf(shared, text(fields, 'cell_id'));
  const cell = shared.cells[index] as SharedCell;
  expect(cell, fields, 'deletable');
  const kept = deleted.get(shared) ?? new Map<string, Fields>();
  deleted.set(shared, kept.set(cell.getId(), cell.toJSON() as unknown as Fields));
  undisturbed(panel, () => {
    apart(shared, () => {
      shared.transact(() => {
        shared.deleteCell(index);
        if (shared.cells.length <= 1) {
          // As JupyterLab does: a notebook without a cell cannot be written in.
          shared.insertCell(0, { cell_type: panel.content.notebookConfig.defaultCell, metadata: {} });
        }
      });
    });
  });
  return { index };
}

function move(panel: NotebookPanel, fields: Fields): unknown {
  const shared = writable(panel);
  const from = indexOf(shared, text(fields, 'cell_id'));
  const place = below(shared, fields);
  const to = place > from ? place - 1 : place;
  if (to !== from) {
    undisturbed(panel, () => {
      apart(shared, () => {
        shared.moveCell(from, to);
      });
    });
  }
  return { index: to };
}

type Stream = { readonly output_type: 'stream'; readonly name: string; readonly text: string };

const isStream = (output: unknown): output is Stream =>
  (output as { output_type?: unknown } | undefined)?.output_type === 'stream';

/** Streams as JupyterLab holds them: one string each, no two of a name in a row. */
function readOutputs(value: unknown): ReadonlyJSONValue[] {
  if (!Array.isArray(value)) {
    throw new Refusal('invalid', '`outputs` must be a list.');
  }
  const outputs: ReadonlyJSONValue[] = [];
  for (const output of value as { text?: unknown }[]) {
    if (isStream(output)) {
      const lines: unknown = output.text;
      const words = Array.isArray(lines) ? lines.join('') : String(lines);
      const last = outputs.at(-1);
      if (isStream(last) && last.name === output.name) {
        outputs[outputs.length - 1] = { ...last, text: last.text + words };
      } else {
        outputs.push({ ...output, text: words });
      }
    } else {
      outputs.push(output as ReadonlyJSONValue);
    }
  }
  return outputs;
}

/** Only what is new is drawn: what a cell goes on printing does not flicker. */
function showOutputs({ outputs }: ICodeCellModel, wanted: readonly ReadonlyJSONValue[]): void {
  const shown = outputs.toJSON() as unknown as ReadonlyJSONValue[];
  let same = 0;
  while (same < shown.length && same < wanted.length && JSONExt.deepEqual(shown[same] ?? null, wanted[same] ?? null)) {
    same++;
  }
  const [before, after] = [shown[same], wanted[same]];
  let rest = wanted.slice(same);
  if (isStream(before) && isStream(after) && same === shown.length - 1 && before.name === after.name &&
      after.text.startsWith(before.text)) {
    rest = [{ ...after, text: after.text.slice(before.text.length) }, ...rest.slice(1)];
  } else if (same < shown.length) {
    // Together with the next one where there is one, so that the cell does not shrink in between.
    outputs.clear(wanted.length > 0);
    rest = wanted.slice();
  }
  for (const output of rest) {
    outputs.add(output as unknown as Output);
  }
}

function setOutputs(panel: NotebookPanel, fields: Fields): unknown {
  const shared = writable(panel);
  const index = indexOf(shared, text(fields, 'cell_id'));
  if (fields['expected_source'] !== undefined) {
    expectSource(shared.cells[index] as SharedCell, fields);
  }
  const model = panel.content.model?.cells.get(index);
  if (!model || !isCodeCellModel(model)) {
    throw new Refusal('invalid', 'Only a code cell has outputs.');
  }
  const wanted = readOutputs(fields['outputs'] ?? []);
  const count = fields['execution_count'];
  const running = fields['running'] === true;
  undisturbed(panel, () => {
    // What has run in this kernel is trusted, as when a person runs it.
    model.trusted = true;
    // Not inside a transaction: its event would come when the model no longer knows that it is its own.
    showOutputs(model, wanted);
    model.sharedModel.transact(() => {
      model.executionCount = typeof count === 'number' ? count : null;
      model.executionState = running ? 'running' : 'idle';
      setMetadata(model.sharedModel, fields['metadata']);
    }, false);
  });
  return { index };
}

function reveal(panel: NotebookPanel, fields: Fields): unknown {
  const index = indexOf(sharedOf(panel), text(fields, 'cell_id'));
  anchors.get(panel)?.over.abort();
  void panel.content.scrollToItem(index, 'smart');
  return { index };
}

const OPS: Readonly<Record<string, (panel: NotebookPanel, fields: Fields) => unknown>> = {
  read, insert, edit, delete: remove, move, outputs: setOutputs, reveal
};

const CHANGES = new Set(['insert', 'edit', 'delete', 'move', 'outputs']);

/** Raises Refusal. */
export function perform(panel: NotebookPanel, op: string, fields: Fields): unknown {
  const run = Object.hasOwn(OPS, op) ? OPS[op] : undefined;
  if (!run) {
    throw new Refusal('invalid', `This page does not know \`${op}\`. Reload it, so that it fits the server.`);
  }
  nameCells(panel);
  const done = run(panel, fields);
  const shared = panel.content.model?.sharedModel;
  if (shared && CHANGES.has(op) && keepsNoIds(shared)) {
    // What an agent was told of the cells holds from now on: they are saved with their ids.
    (shared as { nbformat_minor: number }).nbformat_minor = WITHOUT_IDS + 1;
    return { ...(done as object), upgraded: true };
  }
  return done;
}
