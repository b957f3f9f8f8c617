/** The variables in the kernel's memory, as words: what `@` offers and what a chip sends. */

import type { ContextItem } from '../protocol.js';
import { tn } from './i18n.js';

/** As `GET sessions/{id}/variables` tells one; absent fields say nothing. */
export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly kind: string;
  readonly value?: string;
  readonly shape?: readonly number[] | null;
  readonly length?: number | null;
  readonly dtype?: string;
  readonly size?: number | null;
  readonly columns?: readonly (readonly [string, string])[];
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** "DataFrame 1,200,000 × 14, 134 MB" */
export function about(variable: Variable): string {
  const { type, shape, length, dtype, size, value } = variable;
  const extent = shape ? shape.map(n => n.toLocaleString('en')).join(' × ')
    : typeof length === 'number' ? tn('{n} item', '{n} items', length, { n: length.toLocaleString('en') })
    : '';
  const kind = type.slice(type.lastIndexOf('.') + 1);
  const what = [kind, dtype && dtype !== kind ? dtype : '', extent].filter(Boolean).join(' ');
  const weight = typeof size === 'number' && (shape || size > 10_000) ? bytes(size) : '';
  return [what, weight, shape ? '' : value].filter(Boolean).join(', ');
}

export function bytes(size: number): string {
  let unit = 0;
  let amount = size;
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? amount.toFixed(0) : amount.toPrecision(2)} ${UNITS[unit] ?? ''}`;
}

/** What leaves with the prompt: the schema, never the rows. */
export function chipOf(variable: Variable): ContextItem {
  const columns = (variable.columns ?? []).map(([name, dtype]) => `  ${name}: ${dtype}`);
  const rest = (variable.shape?.[1] ?? 0) - columns.length;
  const text = [
    `${variable.name}: ${about(variable)}`,
    ...columns,
    ...(columns.length && rest > 0 ? [`  … ${rest} more columns`] : [])
  ].join('\n');
  return { type: 'variable', label: variable.name, name: variable.name, text };
}

/** Those of an answer that can be read; modules, and the person's own functions and classes, are left to the cells. */
export function worthNaming(answer: unknown): readonly Variable[] {
  const found = (answer as { variables?: readonly Variable[] } | undefined)?.variables ?? [];
  return found
    .filter(({ name, type, kind }) => typeof name === 'string' && typeof type === 'string' && kind !== 'module')
    .reverse();
}
