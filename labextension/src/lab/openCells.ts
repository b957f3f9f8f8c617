/** What the panel asks about the cells of open notebooks: what they are called, whether a change of them can be taken back. */
import { isCodeCellModel } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import type { CellChange } from '../protocol';
import type { OpenCells } from '../view/host';

import { perform, Refusal } from './tabOps';

/** "[7]"; undefined for a cell that has not run, or is not there. */
export function nameOf(panel: NotebookPanel, cellId: string): string | undefined {
  const model = panel.content.widgets.find(cell => cell.model.id === cellId)?.model;
  const count = model && isCodeCellModel(model) ? model.executionCount : null;
  return count === null ? undefined : `[${String(count)}]`;
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
  const sourceOf = ({ notebook, cell_id }: CellChange): string | undefined =>
    find(notebook)?.content.model?.sharedModel.cells.find(cell => cell.getId() === cell_id)?.getSource();

  const canUndo = (change: CellChange): boolean | undefined => {
    const { operation, notebook, old_source, new_source } = change;
    if (!find(notebook)) {
      return undefined;
    }
    const known = operation === 'insert' || (operation === 'edit' && old_source !== null && old_source !== new_source);
    return known && new_source !== null && sourceOf(change) === new_source;
  };
  return {
    name: (notebook, cellId) => {
      const panel = find(notebook);
      return panel && nameOf(panel, cellId);
    },
    canUndo,
    undo: change => {
      const panel = find(change.notebook);
      if (!panel || !canUndo(change)) {
        return false;
      }
      const { cell_id, new_source, old_source, operation } = change;
      const fields = { cell_id, expected_source: new_source };
      try {
        if (operation === 'insert') {
          perform(panel, 'delete', fields);
        } else {
          perform(panel, 'edit', { ...fields, source: old_source, unmark: true });
        }
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
