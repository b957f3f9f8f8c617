/** The agent's own to-do list: a strip above the composer while it works, a line in the log afterwards. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { PlanEntry } from '../protocol.js';
import type { Item, PlanItem, Transcript, UserItem } from '../transcript.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import { memo } from './memo.js';
import { findLast } from './sections.js';
import { Visible } from './text.js';

const done = (entries: readonly PlanEntry[]): number =>
  entries.filter(entry => entry.status === 'completed').length;

export function PlanStrip({ transcript, busy }: { transcript: Transcript; busy: boolean }): JSX.Element | null {
  const [open, set] = useState(false);
  const turn = transcript.turn?.turn_id;
  const plan = busy
    ? planOf(transcript.items, turn)
    : undefined;
  if (!plan?.entries.length) {
    return null;
  }
  const { entries } = plan;
  const now = entries.find(entry => entry.status === 'in_progress') ?? entries.find(entry => entry.status === 'pending');
  return (
    <div class="al-plan">
      {open && <Entries entries={entries} />}
      <button type="button" class="al-strip" aria-expanded={open} onClick={() => set(!open)}>
        <Icon name={open ? 'chevronDown' : 'chevronRight'} class="al-small-icon" />
        <Icon name="todo" />
        <span class="al-strip-label">{t('{n} of {all}', { n: Math.min(done(entries) + (now ? 1 : 0), entries.length), all: entries.length })}</span>
        <span class="al-cut">{now ? <Visible text={now.content} /> : t('All done')}</span>
      </button>
    </div>
  );
}

/** The plan of the running turn; looks back no further than where that turn began. */
function planOf(items: readonly Item[], turn: string | undefined): PlanItem | undefined {
  const found = findLast(
    items,
    (item): item is PlanItem | UserItem => item.type === 'plan' || item.type === 'user_message'
  );
  return found?.type === 'plan' && found.turn_id === turn ? found : undefined;
}

export const PlanLine = memo(({ item }: { item: PlanItem }): JSX.Element => {
  const [open, set] = useKept<boolean>(`open:${item.id}`, false);
  const { entries } = item;
  return (
    <Line label={t('To-do list')} icon="todo" name={t('To-do list')} prose
      target={t('{n} of {all} done', { n: done(entries), all: entries.length })} open={open} toggle={() => set(!open)}>
      <Entries entries={entries} />
    </Line>
  );
});

function Entries({ entries }: { entries: readonly PlanEntry[] }): JSX.Element {
  const words = { completed: t('done'), in_progress: t('in progress'), pending: t('open') };
  return (
    <ol class="al-entries">
      {entries.map(entry => (
        <li class={`al-entry-${entry.status}`}>
          <Icon name={entry.status === 'completed' ? 'check' : entry.status === 'in_progress' ? 'arc' : 'ring'} />
          <span class="al-unseen">{words[entry.status]}: </span>
          <span><Visible text={entry.content} /></span>
        </li>
      ))}
    </ol>
  );
}
