/** A transcript's items as the parts that are drawn together: one prompt and all that came of it. Pure. */

import type { Item, PermissionItem, ToolItem } from '../transcript.js';

/** Replaced when one of its items is; else the same object as before. */
export interface Section {
  readonly key: string;
  /** The number of the event it begins with. */
  readonly first: number;
  readonly type: Item['type'];
  readonly items: readonly Item[];
}

/** A turn longer than this is drawn in parts, so that its newest line costs no more than a short one's. */
const LONGEST = 60;

/** Whether a part begins at an item, `size` items after the part before began. */
const begins = (item: Item, size: number): boolean =>
  item.type === 'user_message' ||
  // What a call holds and what was decided about it come before the agent speaks on.
  (size >= LONGEST && (item.type === 'agent_message' || item.type === 'agent_thought') && item.parent_tool_call_id === null);

export class Sections {
  list: readonly Section[] = [];

  update(items: readonly Item[]): readonly Section[] {
    const before = this.list;
    const list: Section[] = [];
    // What is old stays in its order: the two lists are walked side by side.
    let old = 0;
    let known: Map<string, number> | undefined;
    for (let from = 0; from < items.length; ) {
      let to = from + 1;
      while (to < items.length && !begins(items[to]!, to - from)) {
        to += 1;
      }
      const first = items[from]!;
      let then = before[old];
      if (then && (then.first !== first.seq || then.type !== first.type)) {
        known ??= new Map(before.map((section, index) => [section.key, index]));
        old = known.get(keyOf(first)) ?? old;
        then = before[old];
      }
      if (then && then.first === first.seq && then.type === first.type && isSame(then.items, items, from, to)) {
        list.push(then);
        old += 1;
      } else {
        list.push({ key: keyOf(first), first: first.seq, type: first.type, items: items.slice(from, to) });
        old += then?.first === first.seq ? 1 : 0;
      }
      from = to;
    }
    this.list = list;
    return list;
  }
}

const keyOf = (first: Item): string => `${first.type}:${first.id}:${first.seq}`;

function isSame(before: readonly Item[], items: readonly Item[], from: number, to: number): boolean {
  if (before.length !== to - from) {
    return false;
  }
  for (let i = from; i < to; i += 1) {
    if (items[i] !== before[i - from]) {
      return false;
    }
  }
  return true;
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
  /** The calls that only what was asked about them tells of, by their ids. */
  readonly calls: ReadonlyMap<string, ToolItem>;
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
  const calls = new Map<string, ToolItem>();
  const top: Item[] = [];
  for (const item of items) {
    if (item.type === 'tool_call' && told.has(item.id)) {
      calls.set(item.id, item);
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
  return { rows: fold ? folded(top) : top.map(item => ({ type: 'item', item })), children, decisions, calls };
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
