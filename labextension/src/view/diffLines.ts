/** Two texts as lines that went, came and stayed, with the changed words marked. Pure. */

import type { DiffBlock } from '../protocol.js';

export interface DiffLine {
  readonly sign: '−' | '+' | ' ' | '⋯';
  readonly text: string;
  /** Where the changed words begin and end; undefined: the whole line is new or gone. */
  readonly mark?: readonly [from: number, to: number];
}

const CONTEXT = 3;
/** A middle part with more cells than this is shown as removed and added, not compared. */
const LARGEST = 1_000_000;

const linesOf = (text: string): string[] =>
  text === '' ? [] : (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');

/** All lines of a diff, long unchanged stretches cut to their edges. */
export function diffLines(before: string | null, after: string): DiffLine[] {
  const a = linesOf(before ?? '');
  const b = linesOf(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) {
    head += 1;
  }
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) {
    tail += 1;
  }
  const lines: DiffLine[] = [
    ...same(a.slice(0, head)),
    ...compare(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...same(tail ? a.slice(-tail) : [])
  ];
  return shorten(markWords(lines));
}

const same = (lines: readonly string[]): DiffLine[] => lines.map(text => ({ sign: ' ', text }));

/** Longest common subsequence of lines. */
function compare(a: readonly string[], b: readonly string[]): DiffLine[] {
  const gone = (text: string): DiffLine => ({ sign: '−', text });
  const come = (text: string): DiffLine => ({ sign: '+', text });
  if (!a.length || !b.length || a.length * b.length > LARGEST) {
    return [...a.map(gone), ...b.map(come)];
  }
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        a[i] === b[j]
          ? longest[(i + 1) * width + j + 1]! + 1
          : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: ' ', text: a[i]! });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) {
      lines.push(gone(a[i]!));
      i += 1;
    } else {
      lines.push(come(b[j]!));
      j += 1;
    }
  }
  return lines;
}

/** Where as many lines went as came, each pair shows what changed inside. */
function markWords(lines: readonly DiffLine[]): DiffLine[] {
  const out: DiffLine[] = [];
  for (let i = 0; i < lines.length; ) {
    let gone = i;
    while (lines[gone]?.sign === '−') {
      gone += 1;
    }
    let come = gone;
    while (lines[come]?.sign === '+') {
      come += 1;
    }
    const pairs = gone - i === come - gone ? gone - i : 0;
    if (pairs) {
      const marked = lines.slice(i, gone).map((line, k) => markPair(line, lines[gone + k]!));
      out.push(...marked.map(pair => pair[0]), ...marked.map(pair => pair[1]));
    } else {
      out.push(...lines.slice(i, Math.max(come, i + 1)));
    }
    i = Math.max(come, i + 1);
  }
  return out;
}

function markPair(a: DiffLine, b: DiffLine): [DiffLine, DiffLine] {
  const shortest = Math.min(a.text.length, b.text.length);
  let head = 0;
  while (head < shortest && a.text[head] === b.text[head]) {
    head += 1;
  }
  let tail = 0;
  while (tail < shortest - head && a.text.at(-1 - tail) === b.text.at(-1 - tail)) {
    tail += 1;
  }
  while (head > 0 && /\w/.test(a.text[head - 1]!)) {
    head -= 1;
  }
  while (tail > 0 && /\w/.test(a.text.at(-tail)!)) {
    tail -= 1;
  }
  if (head + tail < Math.max(a.text.length, b.text.length) * 0.3) {
    return [a, b];
  }
  const mark = (line: DiffLine): DiffLine => ({ ...line, mark: [head, line.text.length - tail] });
  return [mark(a), mark(b)];
}

function shorten(lines: readonly DiffLine[]): DiffLine[] {
  const near = new Uint8Array(lines.length);
  lines.forEach((line, i) => {
    if (line.sign !== ' ') {
      near.fill(1, Math.max(0, i - CONTEXT), i + CONTEXT + 1);
    }
  });
  const out: DiffLine[] = [];
  lines.forEach((line, i) => {
    if (near[i]) {
      out.push(line);
    } else if (out.at(-1)?.sign !== '⋯' && out.length) {
      out.push({ sign: '⋯', text: '' });
    }
  });
  return out.at(-1)?.sign === '⋯' ? out.slice(0, -1) : out;
}

const counted = new WeakMap<DiffBlock, readonly [number, number]>();

/** How many lines some diffs add and remove. */
export function diffCounts(blocks: readonly DiffBlock[]): { added: number; removed: number } {
  let added = 0;
  let removed = 0;
  for (const block of blocks) {
    let known = counted.get(block);
    if (!known) {
      const lines = diffLines(block.old_text, block.new_text);
      known = [
        lines.filter(line => line.sign === '+').length,
        lines.filter(line => line.sign === '−').length
      ];
      counted.set(block, known);
    }
    added += known[0];
    removed += known[1];
  }
  return { added, removed };
}
