/** How a cell did before and after a change: outputs side by side, differences named. Pure. */

import type { Json, Trial, TrialSide } from '../protocol.js';
import { diffLines } from './diffLines.js';
import type { DiffLine } from './diffLines.js';
import { imageSource } from './links.js';
import { plain } from './text.js';

export interface Pair<T> { readonly before: T; readonly after: T }

/** As far as its text tells: `dtypes` null: not told there. */
export interface Table {
  readonly rows: number | null;
  readonly columns: readonly string[];
  /** How many there are, where not all are named. */
  readonly width: number | null;
  readonly dtypes: readonly string[] | null;
}
export interface TablePair extends Pair<Table | null> {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Columns whose dtype is another, "a: int64 → float64"; null: not compared. */
  readonly dtypes: readonly string[] | null;
}
export interface Metric extends Pair<number> {
  /** "" for an output that is one number. */
  readonly name: string;
  readonly difference: number;
}
export interface Comparison {
  /** Lines of the text outputs; null: the same. */
  readonly text: readonly DiffLine[] | null;
  readonly tables: readonly TablePair[];
  readonly metrics: readonly Metric[];
  /** Addresses that can stand in a page; null: that side has none at this place. */
  readonly images: readonly Pair<string | null>[];
  /** Media types that only one who runs the cell can see. */
  readonly notCompared: readonly string[];
}

const LONGEST_TEXT = 20_000;
const MOST_METRICS = 40;
const MOST_IMAGES = 12;

interface Read {
  readonly text: string;
  readonly tables: readonly Table[];
  readonly images: readonly string[];
  readonly other: readonly string[];
}

const joined = (value: Json | undefined): string =>
  typeof value === 'string' ? value
  : Array.isArray(value) ? value.filter(each => typeof each === 'string').join('')
  : '';

const bundle = (value: Json | undefined): Readonly<Record<string, Json>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};

/** Null compares with nothing: then there is only how it did. */
export function compare({ before, after }: Trial): Comparison | null {
  if (!after) {
    return null;
  }
  const a = read(before);
  const b = read(after);
  const length = Math.max(a.tables.length, b.tables.length);
  const images = Math.min(MOST_IMAGES, Math.max(a.images.length, b.images.length));
  return {
    text: a.text === b.text ? null : diffLines(before ? a.text : null, b.text),
    tables: Array.from({ length }, (_, i) => pairOf(a.tables[i] ?? null, b.tables[i] ?? null)),
    metrics: before ? metricsOf(a.text, b.text) : [],
    images: Array.from({ length: images }, (_, i) => ({ before: a.images[i] ?? null, after: b.images[i] ?? null })),
    notCompared: [...new Set([...a.other, ...b.other])]
  };
}

function read(side: TrialSide | null): Read {
  const texts: string[] = [];
  const tables: Table[] = [];
  const images: string[] = [];
  const other: string[] = [];
  for (const output of side?.outputs ?? []) {
    const type = output['output_type'];
    if (type === 'stream') {
      texts.push(joined(output['text']));
    } else if (type === 'error') {
      // Where the side tells its error, that stands beside how it went.
      texts.push(...(side?.error ? [] : [`${joined(output['ename'])}: ${joined(output['evalue'])}`]));
    } else {
      readBundle(bundle(output['data']), texts, tables, images, other);
    }
  }
  if (side && side.outputs.length === 0 && side.text && side.text !== side.error) {
    texts.push(side.text);
  }
  const text = texts.map(each => each.replace(/\n$/, '')).filter(Boolean).join('\n');
  return { text: plain(text.slice(0, LONGEST_TEXT)), tables, images, other };
}

/** What of one output a person would see: a table, else a picture, else its text. */
function readBundle(
  data: Readonly<Record<string, Json>>, texts: string[], tables: Table[], images: string[], other: string[]
): void {
  const html = joined(data['text/html']).slice(0, LONGEST_TEXT * 10);
  const words = joined(data['text/plain']);
  const table = readTable(html, words);
  if (table) {
    tables.push(table);
    texts.push(words);
    return;
  }
  const pictures = Object.keys(data).filter(type => type.startsWith('image/'));
  for (const type of pictures) {
    const source = imageSource(`data:${type};base64,${joined(data[type]).replace(/\s/g, '')}`);
    if (source.kind === 'inline') {
      images.push(source.src);
      return;
    }
  }
  if (words) {
    texts.push(words);
  }
  // What is drawn by other means than text: its text stands for it, and that is said.
  other.push(...Object.keys(data).filter(type => type !== 'text/plain').slice(0, 3));
}

const textIn = (html: string): string =>
  html.replace(/<[^>]*>/g, '').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&').trim();

const whole = (text: string): number => Number(text.replace(/[^\d]/g, ''));

/** pandas and polars say their shape; of another table only what its text has is told. */
export function readTable(html: string, words: string): Table | null {
  const shape =
    /(\d[\d,_]*) rows? × (\d+) columns?/.exec(html) ?? /\[(\d+) rows x (\d+) columns\]/.exec(words) ??
    /shape: \(([\d_,]+), ([\d_]+)\)/.exec(html) ?? /^shape: \(([\d_,]+), ([\d_]+)\)/.exec(words);
  const from = html.search(/<table[^>]*\bdataframe\b/i);
  if (from === -1) {
    return shape ? { rows: whole(shape[1]!), columns: [], width: whole(shape[2]!), dtypes: null } : null;
  }
  const inner = html.slice(from);
  const headEnd = inner.indexOf('</thead>');
  const head = inner.slice(0, headEnd === -1 ? 0 : headEnd);
  const [first = '', second = ''] = head.split(/<tr[^>]*>/).slice(1);
  const names = first.split(/<th[^>]*>/).slice(1).map(each => textIn(each.slice(0, each.indexOf('</th>'))));
  // pandas leaves the first head empty: it stands over the index.
  const columns = names[0] === '' ? names.slice(1) : names;
  const told = second.split(/<td[^>]*>/).slice(1).map(each => textIn(each.slice(0, each.indexOf('</td>'))));
  const dtypes = told.length === columns.length && told.length > 0 && told.every(Boolean) ? told : null;
  const body = inner.slice(headEnd === -1 ? 0 : headEnd, (inner.indexOf('</table>') + 1 || inner.length + 1) - 1);
  const rows = shape ? whole(shape[1]!) : body.split(/<tr[^>]*>/).length - 1;
  const cut = columns.includes('...') || columns.includes('…');
  return { rows, columns: cut ? [] : columns, width: shape ? whole(shape[2]!) : cut ? null : columns.length, dtypes: cut ? null : dtypes };
}

function pairOf(before: Table | null, after: Table | null): TablePair {
  const old = before?.columns ?? [];
  const now = after?.columns ?? [];
  const known = old.length > 0 && now.length > 0;
  const types = (table: Table): Map<string, string> => new Map(table.columns.map((name, i) => [name, table.dtypes?.[i] ?? '']));
  let dtypes: string[] | null = null;
  if (before?.dtypes && after?.dtypes) {
    const then = types(before);
    dtypes = [...types(after)]
      .filter(([name, type]) => then.has(name) && then.get(name) !== type)
      .map(([name, type]) => `${name}: ${then.get(name) ?? ''} → ${type}`);
  }
  return {
    before, after, dtypes,
    added: known ? now.filter(name => !old.includes(name)) : [],
    removed: known ? old.filter(name => !now.includes(name)) : []
  };
}

const NUMBER = '[-+]?(?:\\d[\\d_]*(?:,\\d{3})*(?:\\.\\d+)?|\\.\\d+)(?:[eE][-+]?\\d+)?';
const NAMED = new RegExp(`([\\p{L}_][\\p{L}\\p{N}_ ./()%²-]{0,40}?)\\s*[:=]\\s*(${NUMBER})(?![\\w.])`, 'gu');
const ALONE = new RegExp(`^(?:np\\.\\w+\\()?(${NUMBER})\\)?$`);

function numbersIn(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const alone = ALONE.exec(text.trim());
  if (alone) {
    return found.set('', valueOf(alone[1]!));
  }
  for (const line of text.split('\n')) {
    for (const [, name, value] of line.matchAll(NAMED)) {
      // Of a name that comes again (a loss per epoch) the last value counts.
      found.set(name!.trim(), valueOf(value!));
    }
  }
  return found;
}

const valueOf = (text: string): number => Number(text.replace(/[,_]/g, ''));

/** Values that both sides give a name to, and that differ. */
function metricsOf(before: string, after: string): Metric[] {
  const old = numbersIn(before);
  return [...numbersIn(after)]
    .flatMap(([name, now]) => {
      const then = old.get(name);
      return then === undefined || then === now || !Number.isFinite(then) || !Number.isFinite(now) ? []
        : [{ name, before: then, after: now, difference: now - then }];
    })
    .slice(0, MOST_METRICS);
}

/** A number as it is read: at most six figures. */
export const figure = (value: number): string => String(Number(value.toPrecision(6)));

/** With its sign, and in proportion where that says something. */
export function differenceOf({ before, difference }: Metric): string {
  const signed = `${difference > 0 ? '+' : '−'}${figure(Math.abs(difference))}`;
  if (before === 0) {
    return signed;
  }
  const part = Math.abs((100 * difference) / before);
  return `${signed} (${difference > 0 ? '+' : '−'}${part < 10 ? part.toFixed(1) : String(Math.round(part))} %)`;
}
