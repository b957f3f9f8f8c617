/** Ids for the cells of a notebook whose format keeps none: `notebook/document.py` makes the same ones of its file. Pure. */

import { sourceHash } from './marks';

export interface Unnamed {
  readonly cell_type: string;
  readonly source: string;
}

/** The same cells get the same ids each time; of equal cells each one its own. */
export function idsOf(cells: readonly Unnamed[]): string[] {
  const used = new Set<string>();
  return cells.map(({ cell_type, source }) => {
    let number = 0;
    let id: string;
    do {
      id = sourceHash(`${String(number++)}\0${cell_type}\0${source}`);
    } while (used.has(id));
    used.add(id);
    return id;
  });
}
