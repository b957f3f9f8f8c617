/** The cell that a command is meant for, and the commands that are meant for one. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
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

export interface CellCommand {
  readonly id: string;
  readonly label: string;
  readonly caption: string;
  /** It has become the active cell. `atPointer`: chosen in its context menu. */
  readonly execute: (found: MeantCell, atPointer: boolean) => unknown;
  /** Of a cell that there is. */
  readonly isEnabled?: (found: MeantCell) => boolean;
}

/** Also in the palette, where there is one, for the active cell. */
export function addCellCommand(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  palette: { readonly items: ICommandPalette; readonly category: string } | null,
  { id, label, caption, execute, isEnabled = () => true }: CellCommand
): void {
  app.commands.addCommand(id, {
    label,
    caption,
    isEnabled: args => {
      const found = meantCell(app, notebooks, args);
      return found !== null && isEnabled(found);
    },
    execute: async args => {
      const found = meantCell(app, notebooks, args);
      if (found) {
        activate(found);
        await execute(found, args['pointer'] === true);
      }
    },
    describedBy: MEANT
  });
  palette?.items.addItem({ command: id, category: palette.category });
}

export const MEANT = { args: { type: 'object', properties: { pointer: { type: 'boolean' } } } };
