/** What of a change of a cell can be taken back by what stands in the log. Pure. */

import type { CellChange } from '../protocol.js';
import type { Undoable } from './host.js';

/** How much of the cell; `sessions/proposals.py` (`undoing`) says how. Whether it still is what the change made of it, only its notebook tells. */
export function undoable(change: CellChange): Undoable {
  const { after_cell_id, cell_type, new_source, old_after_cell_id, old_cell_type, old_source, operation } = change;
  switch (operation) {
    case 'insert':
      return new_source === null ? 'no' : 'whole';
    case 'edit':
      return old_source !== null && (old_source !== new_source || (old_cell_type ?? cell_type) !== cell_type) ? 'whole' : 'no';
    case 'delete':
      return old_source === null || old_after_cell_id === null ? 'no' : cell_type === 'code' ? 'source' : 'whole';
    case 'move':
      return old_after_cell_id === null || old_after_cell_id === after_cell_id ? 'no' : 'whole';
  }
}
