/** Code of an answer into a notebook, through its own model: undo takes it back, nothing is saved by it. */
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { CellPlace, CellPlaces } from '../view/host';

/** A new code cell below the active one, which it becomes; nothing is run. */
function insertCell({ content }: NotebookPanel, code: string): void {
  const model = content.model?.sharedModel;
  if (!model) {
    return;
  }
  const at = content.activeCellIndex + 1;
  model.insertCell(at, { cell_type: 'code', source: code });
  content.activeCellIndex = at;
  void content.scrollToItem(at, 'smart');
}

/** The active cell's source; its outputs stay until it is run. */
function replaceCell({ content }: NotebookPanel, code: string): void {
  const cell = content.activeCell;
  if (cell) {
    const { sharedModel } = cell.model;
    sharedModel.transact(() => {
      sharedModel.updateSource(0, sharedModel.source.length, code);
    });
    void content.scrollToItem(content.activeCellIndex, 'smart');
  }
}

function placeIn(notebook: NotebookPanel, trans: TranslationBundle): CellPlace | undefined {
  const { content, context, isDisposed } = notebook;
  if (isDisposed || !content.model) {
    return undefined;
  }
  const readOnly = context.model.readOnly ? trans.__('This notebook can only be read.') : '';
  const { activeCell } = content;
  return {
    insert: code => {
      insertCell(notebook, code);
    },
    replace: code => {
      replaceCell(notebook, code);
    },
    notInsert: readOnly,
    notReplace:
      readOnly ||
      (!activeCell ? trans.__('No cell is selected.')
      : activeCell.readOnly ? trans.__('The selected cell is locked.')
      : '')
  };
}

/** Where code of a session goes: `find` gives the notebook that it goes to, as long as there is one. */
export function cellPlaces(
  notebooks: INotebookTracker,
  find: () => NotebookPanel | null,
  trans: TranslationBundle
): CellPlaces {
  const watching = new Set<() => void>();
  const changed = () => {
    for (const each of [...watching]) {
      each();
    }
  };
  const known = new WeakSet<NotebookPanel>();
  const follow = (panel: NotebookPanel) => {
    if (known.has(panel)) {
      return;
    }
    known.add(panel);
    panel.disposed.connect(changed);
    panel.context.pathChanged.connect(changed);
    panel.content.modelChanged.connect(changed);
    void panel.context.ready.then(changed);
  };
  const added = (_: INotebookTracker, panel: NotebookPanel) => {
    follow(panel);
    changed();
  };
  return {
    now: () => {
      const notebook = find();
      return notebook ? placeIn(notebook, trans) : undefined;
    },
    watch: listener => {
      if (watching.size === 0) {
        notebooks.forEach(follow);
        notebooks.widgetAdded.connect(added);
        notebooks.currentChanged.connect(changed);
        notebooks.activeCellChanged.connect(changed);
      }
      watching.add(listener);
      return () => {
        if (watching.delete(listener) && watching.size === 0) {
          notebooks.widgetAdded.disconnect(added);
          notebooks.currentChanged.disconnect(changed);
          notebooks.activeCellChanged.disconnect(changed);
        }
      };
    }
  };
}
