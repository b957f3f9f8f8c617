/** Numbers and times as a person reads them. Pure. */

import type { CostSource } from '../protocol.js';
import { t } from './i18n.js';

/** 0.4 s, 12 s, 5:48, 1:02:07. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) {
    return seconds < 0.05 ? '<0.1 s' : `${seconds.toFixed(1)} s`;
  }
  return elapsed(ms);
}

/** Whole seconds, for a figure that counts: 4 s, 5:48. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) {
    return `${seconds} s`;
  }
  const two = (n: number): string => String(n).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** 942, 24.1k, 200k, 1.2M. */
export function count(n: number): string {
  if (n < 1000) {
    return String(n);
  }
  const [value, unit] = n < 999_500 ? [n / 1000, 'k'] : [n / 1_000_000, 'M'];
  return `${value < 99.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)}${unit}`;
}

/** "–" when unknown; a price that is not zero never reads as zero. */
export function cost(usd: number | null, source: CostSource): string {
  if (usd === null) {
    return '–';
  }
  const text = usd > 0 && usd < 0.005 ? `<$0.01` : `$${usd.toFixed(2)}`;
  return source === 'estimate' ? t('{cost} estimated', { cost: text }) : text;
}

export function bytes(n: number): string {
  if (n < 1000) {
    return `${n} B`;
  }
  return n < 1_000_000 ? `${Math.round(n / 1000)} kB` : `${(n / 1_000_000).toFixed(1)} MB`;
}

/** 10:42 on the reader's clock. */
export function clock(iso: string): string {
  const date = new Date(iso);
  const two = (n: number): string => String(n).padStart(2, '0');
  return Number.isNaN(date.getTime()) ? '' : `${two(date.getHours())}:${two(date.getMinutes())}`;
}

export const between = (from: string, to: string): number =>
  Math.max(0, Date.parse(to) - Date.parse(from)) || 0;

export const firstLine = (text: string): string => text.trimStart().split('\n', 1)[0] ?? '';

export const pretty = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value, null, 2) ?? '';
