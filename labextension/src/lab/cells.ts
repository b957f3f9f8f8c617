/** Code of an answer into a notebook, through its own model: undo takes it back, nothing is saved by it. */
import type { NotebookPanel } from '@jupyterlab/notebook';

/** A new code cell below the active one, which it becomes; nothing is run. */
export function insertCell({ content }: NotebookPanel, code: string): void {
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
export function replaceCell({ content }: NotebookPanel, code: string): void {
  const cell = content.activeCell;
  if (cell) {
    const { sharedModel } = cell.model;
    sharedModel.transact(() => {
      sharedModel.updateSource(0, sharedModel.source.length, code);
    });
    void content.scrollToItem(content.activeCellIndex, 'smart');
  }
}
