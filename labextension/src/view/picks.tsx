/** The choices beside the composer: agent, model, permission mode, effort. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Session } from '../protocol.js';
import type { Chat } from './chat.js';
import { useChat } from './context.js';
import { Dialog } from './dialog.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';

const BYPASS = 'bypassPermissions';
const MODES: Readonly<Record<string, string>> = {
  default: 'ask', acceptEdits: 'accept edits', plan: 'plan', [BYPASS]: 'bypass', dontAsk: 'do not ask'
};
export const modeName = (mode: string): string => t(MODES[mode] ?? mode);

interface PicksProps {
  readonly session: Session;
  set(change: Parameters<Chat['set']>[0]): void;
}

export const Picks = memo(({ session, set }: PicksProps): JSX.Element => {
  const [asking, ask] = useState(false);
  const model = session.models.find(each => each.id === session.model);
  const efforts = model?.efforts.length ? model.efforts : session.efforts;
  return (
    <>
      <Pick label={t('Agent')} value={session.agent} class="al-pick-only" options={[[session.agent, session.agent]]} />
      <Pick label={t('Model')} value={session.model ?? ''} none={t('model')} class="al-pick-long"
        options={session.models.map(each => [each.id, each.name || each.id])} choose={value => set({ model: value })} />
      <Pick label={t('Permission mode')} value={session.permission_mode}
        class={session.permission_mode === BYPASS ? 'al-pick-warn' : ''}
        options={session.permission_modes.map(mode => [mode, modeName(mode)])}
        choose={value => (value === BYPASS ? ask(true) : set({ permission_mode: value }))} />
      {(efforts.length > 0 || session.effort !== null) && (
        <Pick label={t('Effort')} value={session.effort ?? ''} none={t('effort')} class="al-optional"
          options={efforts.map(each => [each, each])} choose={value => set({ effort: value })} />
      )}
      {asking && (
        <BypassDialog agent={session.agent} cwd={session.workspace.cwd} close={() => ask(false)} confirm={() => {
          ask(false);
          set({ permission_mode: BYPASS });
        }} />
      )}
    </>
  );
});

interface BypassProps {
  readonly agent: string;
  readonly cwd: string;
  close(): void;
  confirm(): void;
}

function BypassDialog({ agent, cwd, close, confirm }: BypassProps): JSX.Element {
  return (
    <Dialog alert title={t('Run everything without asking?')} close={close} buttons={
      <>
        <button type="button" class="al-button" autofocus onClick={close}>{t('Go on being asked')}</button>
        <button type="button" class="al-button al-danger" onClick={confirm}>{t('Ask nothing any more')}</button>
      </>
    }>
      <p>{t('{agent} will run commands, change and delete files and reach the network without asking you, here in {cwd} and everywhere your account may.', { agent, cwd })}</p>
      <p>{t('What it reads (a page, a file, an output) can talk it into something you never wanted. Use this only where nothing of value can be lost or leak, as in a container of its own.')}</p>
      <p>{t('It lasts until you choose another mode or the agent is started again. It is never remembered.')}</p>
    </Dialog>
  );
}

/** Says all the time that nothing is asked. */
export function BypassLine(): JSX.Element {
  const chat = useChat();
  return (
    <div class="al-bypass" role="note" aria-label={t('Bypass mode')}>
      <Icon name="warning" />
      <span class="al-grow">{t('Nothing is asked: every tool runs without your permission.')}</span>
      <button type="button" class="al-button al-quiet" onClick={() => chat.set({ permission_mode: 'default' })}>{t('Ask again')}</button>
    </div>
  );
}

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
        onChange={event => {
          const chosen = event.currentTarget.value;
          // It shows what is in force, which the answer to this changes, or does not.
          event.currentTarget.value = value;
          choose?.(chosen);
        }}>
        {!known && <option value={value}>{value || none}</option>}
        {options.map(([each, words]) => <option value={each}>{words}</option>)}
      </select>
      <Icon name="chevronDown" class="al-small-icon" />
    </span>
  );
}
