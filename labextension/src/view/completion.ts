/** What is offered for a word begun with `@` or `/`: where the word is, what fits it, in which order. Pure. */

import type { IconName } from './icons.js';

/** The word at the caret that asks for an offer, from its sign to the caret. */
export interface Asked {
  readonly kind: 'mention' | 'command';
  readonly from: number;
  readonly to: number;
  readonly query: string;
}

/** Their order while nothing is typed yet. */
export const GROUPS = ['command', 'cell', 'variable', 'terminal', 'file', 'session'] as const;
export type Group = (typeof GROUPS)[number];

export interface Offer {
  readonly id: string;
  readonly group: Group;
  readonly icon: IconName;
  /** What is searched, and stands first. */
  readonly label: string;
  readonly hint?: string;
  readonly detail: string;
}

/** `at`: which letters of the label were asked for. A smaller rank is a better match. */
export interface Match {
  readonly rank: number;
  readonly at: readonly number[];
}

export interface Found<T extends Offer = Offer> extends Match {
  readonly offer: T;
}

/** Up to this rank the letters stand together in the name: what Enter may take without being told. */
export const CLOSE = 3;
const ABOUT = 6;
const MOST_OF_A_GROUP = 8;
const MOST_UNASKED = 5;

export function askedAt(text: string, caret: number): Asked | undefined {
  const before = text.slice(0, caret);
  const command = /^\/([\w:.-]*)$/.exec(before);
  if (command && /^(?:\s|$)/.test(text.slice(caret))) {
    return { kind: 'command', from: 0, to: caret, query: command[1] ?? '' };
  }
  // An address (me@example.org) asks for nothing.
  const mention = /(?:^|[\s([{"'`,;:])@([^\s@]*)$/.exec(before);
  if (mention) {
    const query = mention[1] ?? '';
    return { kind: 'mention', from: caret - query.length - 1, to: caret, query };
  }
  return undefined;
}

/** Of a path its last part is the name. */
export function match(query: string, label: string): Match | undefined {
  if (!query) {
    return { rank: 0, at: [] };
  }
  const wanted = query.toLowerCase();
  const lower = label.toLowerCase();
  const name = lower.slice(0, -1).lastIndexOf('/') + 1;
  const run = (from: number): number[] => [...wanted].map((_, i) => from + i);
  if (lower.startsWith(wanted, name)) {
    return { rank: lower.length === name + wanted.length ? 0 : 1, at: run(name) };
  }
  const inside = lower.indexOf(wanted, name);
  if (inside >= 0) {
    return { rank: /[\p{L}\p{N}]/u.test(lower[inside - 1] ?? '') ? 3 : 2, at: run(inside) };
  }
  const anywhere = lower.indexOf(wanted);
  if (anywhere >= 0) {
    return { rank: 4, at: run(anywhere) };
  }
  const at: number[] = [];
  let from = 0;
  for (const letter of wanted) {
    const next = lower.indexOf(letter, from);
    if (next < 0) {
      return undefined;
    }
    at.push(next);
    from = next + 1;
  }
  return { rank: 5, at };
}

/** The offers that fit, those of a group together, the group with the best one first. */
export function fitting<T extends Offer>(offers: readonly T[], query: string): Found<T>[] {
  const groups = new Map<Group, Found<T>[]>();
  for (const offer of offers) {
    const found = match(query, offer.label) ??
      // What a cell says finds it too, but never marks it as meant. Of commands there are too many for that.
      (offer.group !== 'command' && offer.detail.toLowerCase().includes(query.toLowerCase()) ? { rank: ABOUT, at: [] } : undefined);
    if (found) {
      const group = groups.get(offer.group) ?? [];
      group.push({ offer, ...found });
      groups.set(offer.group, group);
    }
  }
  const most = query ? MOST_OF_A_GROUP : MOST_UNASKED;
  return [...groups]
    .map(([name, group]) => {
      // Sorting keeps what ranks alike in the order it came in, which is the server's or the notebook's.
      const best = group.sort((a, b) => a.rank - b.rank);
      return { name, best: name === 'command' ? best : best.slice(0, most) };
    })
    .sort((a, b) =>
      (a.best[0]?.rank ?? 0) - (b.best[0]?.rank ?? 0) || GROUPS.indexOf(a.name) - GROUPS.indexOf(b.name))
    .flatMap(({ best }) => best);
}

/** What Enter takes while the person has pointed at nothing: -1 is nothing, so that Enter sends. */
export function suggested(found: readonly Found[], asked: Asked): number {
  const first = found[0];
  if (!first || (asked.kind === 'mention' && (!asked.query || first.rank > CLOSE))) {
    return -1;
  }
  return 0;
}
