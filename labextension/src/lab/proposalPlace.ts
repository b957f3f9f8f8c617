/** Where a proposed change stands in an open notebook: in the cell that it is about, or behind the one that it follows. */
import type { Cell } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { PanelLayout } from '@lumino/widgets';
import type { Widget } from '@lumino/widgets';

import type { CellChange } from '../protocol';

export interface Place {
  readonly cell: Cell;
  readonly at: 'top' | 'input' | 'bottom';
}

/** Null where the cell is not there (any more): the chat still shows what is proposed. */
export function placeOf({ content }: NotebookPanel, change: CellChange): Place | null {
  const { widgets } = content;
  const find = (id: string) => widgets.find(cell => cell.model.id === id);
  if (change.operation !== 'insert') {
    const cell = find(change.cell_id);
    return cell ? { cell, at: 'input' } : null;
  }
  const behind = change.after_cell_id;
  const cell = behind === '' ? widgets[0] : behind === null ? widgets.at(-1) : find(behind);
  return cell ? { cell, at: behind === '' ? 'top' : 'bottom' } : null;
}

/** Puts it there, behind what stands there already. False while the cell is not drawn. */
export function put({ cell, at }: Place, widget: Widget): boolean {
  const { layout } = cell;
  if (cell.isPlaceholder() || !(layout instanceof PanelLayout)) {
    return false;
  }
  if (widget.parent === cell) {
    return true;
  }
  if (at === 'top') {
    layout.insertWidget(0, widget);
  } else if (at === 'bottom') {
    layout.addWidget(widget);
  } else {
    let index = layout.widgets.findIndex(({ node }) => node.classList.contains('jp-Cell-inputWrapper')) + 1;
    // What was asked at the cell stands before what came of it.
    while (/\bal-(?:Inline|Proposal)\b/.test(layout.widgets[index]?.node.className ?? '')) {
      index++;
    }
    layout.insertWidget(index, widget);
  }
  return true;
}
