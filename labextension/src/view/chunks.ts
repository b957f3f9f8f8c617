/** Which parts of a long conversation are drawn: those near to what is looked at. Pure. */

import type { Item } from '../transcript.js';
import { textOf } from '../transcript.js';
import type { Section } from './sections.js';

/** Neighbouring sections that are drawn, or not, together. Replaced when one of its sections is. */
export interface Chunk {
  readonly key: number;
  readonly sections: readonly Section[];
}

/** Events a chunk spans: few enough to be drawn within a frame. */
const SPAN = 32;

export class Chunks {
  list: readonly Chunk[] = [];

  /** The key says where in the log a chunk begins, so it stays when others come before or after it. */
  update(sections: readonly Section[]): readonly Chunk[] {
    const known = new Map(this.list.map(chunk => [chunk.key, chunk]));
    const list: Chunk[] = [];
    for (let from = 0; from < sections.length; ) {
      const key = Math.floor(sections[from]!.first / SPAN);
      let to = from + 1;
      while (to < sections.length && Math.floor(sections[to]!.first / SPAN) <= key) {
        to += 1;
      }
      const before = known.get(key);
      const start = from;
      const same =
        before?.sections.length === to - from &&
        before.sections.every((section, index) => section === sections[start + index]);
      list.push(same ? before : { key, sections: sections.slice(from, to) });
      from = to;
    }
    this.list = list;
    return list;
  }
}

/** Chunks that are one box while none of them is near: a page lays out and paints few boxes fast. */
export interface Group {
  readonly key: number;
  readonly chunks: readonly Chunk[];
  /** How many sections they have. */
  readonly size: number;
}

/** Bits of a number, so that which chunks of a group are near is one. */
const GROUP = 32;
const groupOf = (chunk: Chunk): number => Math.floor(chunk.key / GROUP);
const bitOf = (key: number): number => 1 << (key % GROUP);

/** The chunks in groups, each one replaced when one of its chunks is. */
export function grouped(chunks: readonly Chunk[], before: readonly Group[]): readonly Group[] {
  const known = new Map(before.map(group => [group.key, group]));
  const list: Group[] = [];
  for (let from = 0; from < chunks.length; ) {
    const key = groupOf(chunks[from]!);
    let to = from + 1;
    while (to < chunks.length && groupOf(chunks[to]!) === key) {
      to += 1;
    }
    const now = chunks.slice(from, to);
    const then = known.get(key);
    const same = then?.chunks.length === now.length && now.every((chunk, index) => chunk === then.chunks[index]);
    list.push(same ? then : { key, chunks: now, size: now.reduce((sum, chunk) => sum + chunk.sections.length, 0) });
    from = to;
  }
  return list;
}

/** Which chunks of a group are near, as bits; 0: none. */
export function nearIn(group: Group, keys: ReadonlySet<number>): number {
  let bits = 0;
  for (const { key } of group.chunks) {
    bits |= keys.has(key) ? bitOf(key) : 0;
  }
  return bits;
}

export const isNear = (chunk: Chunk, bits: number): boolean => (bits & bitOf(chunk.key)) !== 0;

/** How high a section is thought to be (px) before the first one was measured. */
const GUESS = 240;

/** How high each chunk is: as measured when it was last drawn, else as high as others of its size. */
export class Heights {
  private readonly known = new Map<number, number>();
  private height = 0;
  private sections = 0;

  measured(chunk: Chunk, height: number): void {
    this.known.set(chunk.key, height);
    this.height += height;
    this.sections += chunk.sections.length;
  }

  /** A guess stays what it was: nothing may move because others were measured meanwhile. */
  of(chunk: Chunk): number {
    let height = this.known.get(chunk.key);
    if (height === undefined) {
      height = Math.round((this.sections ? this.height / this.sections : GUESS) * chunk.sections.length);
      this.known.set(chunk.key, height);
    }
    return height;
  }

  sum(chunks: readonly Chunk[], from: number, to: number): number {
    let sum = 0;
    for (let i = from; i < to; i += 1) {
      sum += this.of(chunks[i]!);
    }
    return sum;
  }
}

export interface Sight {
  /** Where in the conversation the view begins (px), and how high it is. */
  readonly top: number;
  readonly view: number;
  /** The view is at the end, wherever that is. */
  readonly atEnd: boolean;
}

export interface Near {
  readonly keys: ReadonlySet<number>;
  /** Some that are wanted soon are left for the next frames. */
  readonly more: boolean;
}

/** How many chunks that are not in sight yet are drawn in one frame. */
const AHEAD = 1;

/** The chunks to draw: all in sight, and around these step by step as many views again. */
export function nearOf(
  chunks: readonly Chunk[], heights: Heights, sight: Sight, before: ReadonlySet<number>, pinned: ReadonlySet<number>
): Near {
  const total = heights.sum(chunks, 0, chunks.length);
  const top = sight.atEnd ? Math.max(0, total - sight.view) : sight.top;
  const keys = new Set<number>();
  let more = false;
  let ahead = 0;
  let at = 0;
  const wanted: { readonly key: number; readonly far: number }[] = [];
  chunks.forEach((chunk, index) => {
    const end = at + heights.of(chunk);
    const far = Math.max(at - (top + sight.view), top - end, 0);
    if (far === 0 || index === chunks.length - 1 || pinned.has(chunk.key) || (before.has(chunk.key) && far < sight.view * 3)) {
      keys.add(chunk.key);
    } else if (far < sight.view * 1.5) {
      wanted.push({ key: chunk.key, far });
    }
    at = end;
  });
  wanted.sort((a, b) => a.far - b.far);
  for (const { key } of wanted) {
    if (ahead < AHEAD) {
      keys.add(key);
      ahead += 1;
    } else {
      more = true;
    }
  }
  return { keys, more };
}

/** More words of a chunk than this are not found by the browser while the chunk is far away. */
const LONGEST_WORDS = 20_000;

/** What of a chunk that is not drawn the browser's own search shall find. */
export function wordsOf(chunk: Chunk): string {
  const words: string[] = [];
  let length = 0;
  for (const section of chunk.sections) {
    for (const item of section.items) {
      const text = wordsOfItem(item);
      if (text && length < LONGEST_WORDS) {
        words.push(text.slice(0, LONGEST_WORDS - length));
        length += text.length;
      }
    }
  }
  return words.join('\n');
}

/** Of markdown, what stands between words that are read as one. */
const MARKS = /\*\*|`+|^#+ /gm;

function wordsOfItem(item: Item): string {
  switch (item.type) {
    case 'user_message':
      return textOf(item.content);
    case 'agent_message':
      return item.text.replace(MARKS, '');
    case 'tool_call':
      return item.title;
    default:
      return '';
  }
}
