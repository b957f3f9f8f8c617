/** The cell that a command is meant for. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

export interface MeantCell {
  readonly notebook: NotebookPanel;
  readonly cell: Cell;
}

/** From a context menu (`pointer`) the cell under it, which a right click does not always make active; else the active one. */
export function meantCell(
  app: JupyterFrontEnd, notebooks: INotebookTracker, { pointer }: ReadonlyPartialJSONObject
): MeantCell | null {
  if (pointer === true) {
    const node = app.contextMenuHitTest(({ classList }) => classList.contains('jp-Cell'));
    const notebook = node && notebooks.find(panel => panel.content.node.contains(node));
    const cell = notebook?.content.widgets.find(other => other.node === node);
    return notebook && cell ? { notebook, cell } : null;
  }
  const notebook = notebooks.currentWidget;
  const cell = notebook?.content.activeCell;
  return notebook && cell ? { notebook, cell } : null;
}

/** Makes it the active one, so that the person sees which it is. */
export function activate({ notebook, cell }: MeantCell): void {
  const index = notebook.content.widgets.indexOf(cell);
  if (index !== -1) {
    notebook.content.activeCellIndex = index;
  }
}

export const MEANT = { args: { type: 'object', properties: { pointer: { type: 'boolean' } } } };
