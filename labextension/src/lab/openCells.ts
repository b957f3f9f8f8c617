/** What the panel asks about the cells of open notebooks: what they are called, whether a change of them can be taken back. */
import { isCodeCellModel } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import type { CellChange } from '../protocol';
import type { OpenCells, Undoable } from '../view/host';
import { undoable } from '../view/undoable';

import { deletedCell, perform, Refusal } from './tabOps';
import type { Fields } from './tabOps';

/** "[7]"; undefined for a cell that has not run, or is not there. */
export function nameOf(panel: NotebookPanel, cellId: string): string | undefined {
  const model = panel.content.widgets.find(cell => cell.model.id === cellId)?.model;
  const count = model && isCodeCellModel(model) ? model.executionCount : null;
  return count === null ? undefined : `[${String(count)}]`;
}

interface TakingBack {
  readonly op: 'delete' | 'edit' | 'insert' | 'move';
  readonly fields: Fields;
  readonly much: Undoable;
}

/** What takes a change back; undefined where the notebook is no longer what the change made of it. */
function takingBack(panel: NotebookPanel, change: CellChange): TakingBack | undefined {
  const { cell_id, cell_type, new_source, old_after_cell_id, old_cell_type, old_source } = change;
  const cells = panel.content.model?.sharedModel.cells ?? [];
  const at = cells.findIndex(cell => cell.getId() === cell_id);
  const cell = cells[at];
  const much = undoable(change);
  const isAsMade = cell?.getSource() === new_source;
  const place = { cell_id, after_cell_id: old_after_cell_id };
  const hasPlace = old_after_cell_id === '' || cells.some(each => each.getId() === old_after_cell_id);
  if (much === 'no') {
    return undefined;
  }
  switch (change.operation) {
    case 'insert':
      return isAsMade ? { op: 'delete', fields: { cell_id, expected_source: new_source }, much } : undefined;
    case 'edit': {
      const retyped = (old_cell_type ?? cell_type) !== cell_type;
      const type = retyped ? { cell_type: old_cell_type } : {};
      const fields = { cell_id, expected_source: new_source, source: old_source, unmark: true, ...type };
      return isAsMade && (!retyped || cell.cell_type === cell_type) ? { op: 'edit', fields, much } : undefined;
    }
    case 'delete': {
      const kept = deletedCell(panel, cell_id);
      const whole = kept?.['source'] === old_source ? kept : undefined;
      const fields = { cell: whole ?? { id: cell_id, cell_type, source: old_source }, ...place };
      return !cell && hasPlace ? { op: 'insert', fields, much: whole ? 'whole' : much } : undefined;
    }
    case 'move': {
      const behind = at > 0 ? cells[at - 1]?.getId() : '';
      return cell && hasPlace && behind === change.after_cell_id ? { op: 'move', fields: place, much } : undefined;
    }
  }
}

export function openCells(notebooks: INotebookTracker): OpenCells {
  const watching = new Set<() => void>();
  const known = new WeakSet<NotebookPanel>();
  let scheduled = false;
  const touch = () => {
    if (watching.size && !scheduled) {
      scheduled = true;
      requestAnimationFrame(() => {
        scheduled = false;
        for (const each of [...watching]) {
          each();
        }
      });
    }
  };
  const follow = (panel: NotebookPanel) => {
    if (!known.has(panel)) {
      known.add(panel);
      panel.context.model.contentChanged.connect(touch);
      panel.disposed.connect(touch);
      void panel.context.ready.then(touch);
    }
  };
  notebooks.forEach(follow);
  notebooks.widgetAdded.connect((_, panel) => {
    follow(panel);
    touch();
  });

  const find = (path: string): NotebookPanel | undefined => notebooks.find(panel => panel.context.localPath === path);
  const canUndo = (change: CellChange): Undoable | undefined => {
    const panel = find(change.notebook);
    return panel && (takingBack(panel, change)?.much ?? 'no');
  };
  return {
    name: (notebook, cellId) => {
      const panel = find(notebook);
      return panel && nameOf(panel, cellId);
    },
    canUndo,
    undo: change => {
      const panel = find(change.notebook);
      const back = panel && takingBack(panel, change);
      if (!back) {
        return false;
      }
      try {
        perform(panel, back.op, back.fields);
      } catch (error) {
        if (error instanceof Refusal) {
          return false; // locked meanwhile
        }
        throw error;
      }
      return true;
    },
    watch: changed => {
      watching.add(changed);
      return () => {
        watching.delete(changed);
      };
    }
  };
}
