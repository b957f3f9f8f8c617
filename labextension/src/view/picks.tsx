/** The choices beside the composer: agent, model, permission mode, effort. */

import type { JSX } from 'preact';
import type { Session } from '../protocol.js';
import type { Chat } from './chat.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';

const MODES: Readonly<Record<string, string>> = {
  default: 'ask', acceptEdits: 'accept edits', plan: 'plan', bypassPermissions: 'bypass', dontAsk: 'do not ask'
};
export const modeName = (mode: string): string => t(MODES[mode] ?? mode);

interface PicksProps {
  readonly session: Session;
  set(change: Parameters<Chat['set']>[0]): void;
}

export const Picks = memo(({ session, set }: PicksProps): JSX.Element => {
  const model = session.models.find(each => each.id === session.model);
  const efforts = model?.efforts.length ? model.efforts : session.efforts;
  return (
    <>
      <Pick label={t('Agent')} value={session.agent} class="al-pick-only" options={[[session.agent, session.agent]]} />
      <Pick label={t('Model')} value={session.model ?? ''} none={t('model')} class="al-pick-long"
        options={session.models.map(each => [each.id, each.name || each.id])} choose={value => set({ model: value })} />
      <Pick label={t('Permission mode')} value={session.permission_mode}
        options={session.permission_modes.map(mode => [mode, modeName(mode)])}
        choose={value => set({ permission_mode: value })} />
      {(efforts.length > 0 || session.effort !== null) && (
        <Pick label={t('Effort')} value={session.effort ?? ''} none={t('effort')} class="al-optional"
          options={efforts.map(each => [each, each])} choose={value => set({ effort: value })} />
      )}
    </>
  );
});

interface PickProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  /** What stands there while nothing is chosen. */
  readonly none?: string;
  readonly class?: string;
  choose?(value: string): void;
}

function Pick({ label, value, options, none, choose, class: more = '' }: PickProps): JSX.Element {
  const known = options.some(([each]) => each === value);
  return (
    <span class={`al-pick ${more}`}>
      <select aria-label={label} title={label} value={value} disabled={options.length === 0}
        onChange={event => choose?.(event.currentTarget.value)}>
        {!known && <option value={value}>{value || none}</option>}
        {options.map(([each, words]) => <option value={each}>{words}</option>)}
      </select>
      <Icon name="chevronDown" class="al-small-icon" />
    </span>
  );
}
