/** A transcript's items as the parts that are drawn together: one prompt and all that came of it. Pure. */

import type { Item, PermissionItem, ToolItem } from '../transcript.js';

/** Replaced when one of its items is; else the same object as before. */
export interface Section {
  readonly key: string;
  readonly items: readonly Item[];
}

export class Sections {
  list: readonly Section[] = [];

  update(items: readonly Item[]): readonly Section[] {
    const known = new Map(this.list.map(section => [section.key, section]));
    const list: Section[] = [];
    for (let from = 0; from < items.length; ) {
      let to = from + 1;
      while (to < items.length && items[to]?.type !== 'user_message') {
        to += 1;
      }
      const first = items[from]!;
      const key = `${first.type}:${first.id}:${first.seq}`;
      const before = known.get(key);
      const start = from;
      const same =
        before?.items.length === to - from &&
        before.items.every((item, index) => item === items[start + index]);
      list.push(same ? before : { key, items: items.slice(from, to) });
      from = to;
    }
    this.list = list;
    return list;
  }
}

/** One line or block of a section: an item, or a run of finished calls that reads as "5 steps". */
export type Row =
  | { readonly type: 'item'; readonly item: Item }
  | { readonly type: 'steps'; readonly items: readonly Item[] };

export interface Layout {
  readonly rows: readonly Row[];
  /** What a sub-agent's call holds, by that call's id. */
  readonly children: ReadonlyMap<string, readonly Item[]>;
  /** What was decided about a call, by its id. */
  readonly decisions: ReadonlyMap<string, PermissionItem>;
}

const SHORTEST_RUN = 3;

/** `fold`: runs of finished calls may become one line (not while they are still being added to). */
export function layout(items: readonly Item[], fold: boolean): Layout {
  const tools = new Set(items.flatMap(item => (item.type === 'tool_call' ? [item.id] : [])));
  // A question or a plan has a card of its own, and later a line: its call would tell the same twice.
  const told = new Set(
    items.flatMap(item => (item.type === 'permission' && item.request.kind !== 'tool' ? [item.request.tool_call_id] : []))
  );
  const children = new Map<string, Item[]>();
  const decisions = new Map<string, PermissionItem>();
  const top: Item[] = [];
  for (const item of items) {
    if (item.type === 'tool_call' && told.has(item.id)) {
      continue;
    }
    const parent = 'parent_tool_call_id' in item ? item.parent_tool_call_id : null;
    if (item.type === 'permission') {
      const call = item.request.tool_call_id;
      if (call !== null) {
        decisions.set(call, item);
      }
      if (hidden(item, tools)) {
        continue;
      }
    }
    if (parent !== null && tools.has(parent)) {
      const list = children.get(parent);
      if (list) {
        list.push(item);
      } else {
        children.set(parent, [item]);
      }
    } else {
      top.push(item);
    }
  }
  return { rows: fold ? folded(top) : top.map(item => ({ type: 'item', item })), children, decisions };
}

/** A decided tool permission is told on its call's line, unless there is more to say than the choice. */
function hidden(item: PermissionItem, tools: ReadonlySet<string>): boolean {
  const { request, outcome, message } = item;
  return (
    request.kind === 'tool' && outcome !== null && !message &&
    request.tool_call_id !== null && tools.has(request.tool_call_id)
  );
}

const foldable = (item: Item): item is ToolItem =>
  item.type === 'tool_call' && item.status === 'completed';

export function folded(items: readonly Item[]): Row[] {
  const rows: Row[] = [];
  for (let from = 0; from < items.length; ) {
    let to = from;
    let calls = 0;
    let end = from;
    // Thoughts between calls belong to the run; those after its last call do not.
    while (to < items.length) {
      const item = items[to]!;
      if (foldable(item)) {
        calls += 1;
        end = to + 1;
      } else if (item.type !== 'agent_thought' || calls === 0) {
        break;
      }
      to += 1;
    }
    if (calls >= SHORTEST_RUN) {
      rows.push({ type: 'steps', items: items.slice(from, end) });
      from = end;
    } else {
      rows.push({ type: 'item', item: items[from]! });
      from += 1;
    }
  }
  return rows;
}

/** The newest item of a kind. */
export function findLast<T extends Item>(
  items: readonly Item[],
  wanted: (item: Item) => item is T
): T | undefined {
  for (let i = items.length - 1; i >= 0; i -= 1) {
    const item = items[i]!;
    if (wanted(item)) {
      return item;
    }
  }
  return undefined;
}
