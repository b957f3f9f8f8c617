/** A session of the list in words and a shape, and the heading it stands under. Pure. */

import type { Brief } from '../changes.js';
import { t, tn } from './i18n.js';
import type { IconName } from './icons.js';

export interface Mark {
  readonly text: string;
  readonly icon: IconName;
  /** `wait` is blue, `new` orange; the shape and the words say the same. */
  readonly tone: 'wait' | 'run' | 'new' | 'idle' | 'fail' | 'end';
}

const WORKING = new Set(['starting', 'running', 'awaiting_permission', 'cancelling']);

export const isWorking = (brief: Brief): boolean => WORKING.has(brief.status);

export function markOf(brief: Brief): Mark {
  const asked = brief.pending_permissions[0];
  if (asked && brief.status !== 'cancelling') {
    const text =
      asked.kind === 'question' ? t('Question: {title}', { title: asked.title })
      : asked.kind === 'plan' ? t('A plan waits for your review')
      : t('Permission: {title}', { title: asked.title });
    return { text, icon: 'diamond', tone: 'wait' };
  }
  switch (brief.status) {
    case 'starting':
      return { text: t('Starting'), icon: 'arc', tone: 'run' };
    case 'running':
    case 'awaiting_permission':
      return { text: t('Working'), icon: 'arc', tone: 'run' };
    case 'cancelling':
      return { text: t('Stopping'), icon: 'arc', tone: 'run' };
    case 'failed': {
      const why = brief.status_reason;
      return { text: why ? t('Failed: {why}', { why }) : t('Failed'), icon: 'bigCross', tone: 'fail' };
    }
    default:
      if (brief.unseen) {
        return { text: t('Finished, not seen yet'), icon: 'disc', tone: 'new' };
      }
      return brief.status === 'ended' ? { text: t('Ended'), icon: 'dash', tone: 'end' }
        : brief.status === 'stopped' ? { text: t('Stopped'), icon: 'dash', tone: 'end' }
        : { text: t('Idle'), icon: 'ring', tone: 'idle' };
  }
}

export type Heading = 'active' | 'today' | 'yesterday' | 'week' | 'earlier';

const DAY = 86_400_000;
const startOfDay = (time: number): number => new Date(time).setHours(0, 0, 0, 0);

/** What works, waits, or finished lately unseen is active; the rest goes by the day. */
export function headingOf(brief: Brief, now: number): Heading {
  const time = Date.parse(brief.updated_at) || 0;
  if (isWorking(brief) || (brief.unseen && now - time < DAY)) {
    return 'active';
  }
  const today = startOfDay(now);
  return time >= today ? 'today'
    : time >= startOfDay(today - 1) ? 'yesterday'
    : time >= startOfDay(today - 6 * DAY) ? 'week'
    : 'earlier';
}

export function headingWords(heading: Heading): string {
  return {
    active: t('Active'), today: t('Today'), yesterday: t('Yesterday'),
    week: t('This week'), earlier: t('Earlier')
  }[heading];
}

const ORDER: readonly Heading[] = ['active', 'today', 'yesterday', 'week', 'earlier'];

/** The rows under their headings, active first, then the newest. */
export function grouped(rows: Iterable<Brief>, now: number): { heading: Heading; rows: Brief[] }[] {
  const groups = new Map<Heading, Brief[]>(ORDER.map(heading => [heading, []]));
  for (const row of rows) {
    groups.get(headingOf(row, now))?.push(row);
  }
  return ORDER.flatMap(heading => {
    const rows = groups.get(heading) ?? [];
    rows.sort((a, b) =>
      Number(b.pending_permissions.length > 0) - Number(a.pending_permissions.length > 0) ||
      Number(isWorking(b)) - Number(isWorking(a)) ||
      (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0));
    return rows.length ? [{ heading, rows }] : [];
  });
}

/** now, 6 min, 2 h, 3 days, 14 Oct 2026. */
export function age(iso: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(iso)) / 60_000);
  if (!(minutes >= 1)) {
    return t('now');
  }
  if (minutes < 60) {
    return t('{n} min', { n: minutes });
  }
  if (minutes < 24 * 60) {
    return t('{n} h', { n: Math.floor(minutes / 60) });
  }
  const days = Math.floor(minutes / (24 * 60));
  return days < 7 ? tn('{n} day', '{n} days', days)
    : new Date(iso).toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
}

export interface Piece {
  readonly text: string;
  readonly hit: boolean;
}

/** A line of the search, in which U+0002 and U+0003 enclose what matched. */
export function piecesOf(line: string): Piece[] {
  return line.split('\u0002').flatMap((part, index) => {
    const [hit = '', rest = ''] = index === 0 ? ['', part] : splitOnce(part);
    return [{ text: hit, hit: true }, { text: rest, hit: false }].filter(piece => piece.text !== '');
  });
}

function splitOnce(part: string): [string, string] {
  const at = part.indexOf('\u0003');
  return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
}

/** A title with the words of the search marked, wherever they stand. */
export function markTitle(title: string, query: string): Piece[] {
  const wanted = query.trim().split(/\s+/).filter(word => word !== '');
  if (!wanted.length) {
    return [{ text: title, hit: false }];
  }
  const either = wanted.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  return title.split(new RegExp(`(${either})`, 'gi'))
    .map((text, index) => ({ text, hit: index % 2 === 1 }))
    .filter(piece => piece.text !== '');
}
