/** The context dial of a folder: what may leave its kernels, what is masked, whether prompts tell what happened. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ContextDial, DialLevel } from '../protocol.js';
import type { Chat } from './chat.js';
import { Dialog } from './dialog.js';
import { t } from './i18n.js';
import { request } from './request.js';

const LEVELS: readonly DialLevel[] = ['off', 'schema', 'summary', 'sample', 'full'];
const words = (level: DialLevel): string =>
  ({
    off: t('Off: nothing'),
    schema: t('Schema only: names, types, shapes'),
    summary: t('Summary: statistics and errors too'),
    sample: t('Sample: first and last lines, first rows, pictures too'),
    full: t('Full: everything')
  })[level];

type State =
  | { readonly name: 'loading' }
  | { readonly name: 'failed'; readonly message: string }
  | { readonly name: 'here'; readonly dial: ContextDial };

const lines = (text: string): readonly string[] => text.split('\n').map(line => line.trim()).filter(Boolean);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function DialDialog({ chat, close }: { chat: Chat; close(): void }): JSX.Element {
  const [state, set] = useState<State>({ name: 'loading' });
  const [refused, refuse] = useState('');
  const path = `sessions/${encodeURIComponent(chat.host.sessionId)}/dial`;
  useEffect(() => {
    request(chat.host, 'GET', path).then(
      answer => set({ name: 'here', dial: answer as ContextDial }),
      (error: unknown) => set({ name: 'failed', message: messageOf(error) })
    );
  }, []);
  if (state.name !== 'here') {
    return (
      <Dialog title={t('Context dial')} close={close}>
        {state.name === 'failed' ? <p role="alert">{state.message}</p> : <p class="al-muted" role="status">{t('Loading…')}</p>}
      </Dialog>
    );
  }
  const { dial } = state;
  const turn = (change: Partial<ContextDial>): void => set({ name: 'here', dial: { ...dial, ...change } });
  const save = (): void => {
    refuse('');
    request(chat.host, 'PATCH', path, dial).then(
      () => {
        void chat.happened.read(true);
        close();
      },
      (error: unknown) => refuse(messageOf(error))
    );
  };
  const choice = (label: string, side: 'sent' | 'read'): JSX.Element => (
    <label class="al-dial-row">{label}
      <select class="al-field" value={dial[side]} onChange={event => turn({ [side]: event.currentTarget.value as DialLevel })}>
        {LEVELS.map(level => <option key={level} value={level}>{words(level)}</option>)}
      </select>
    </label>
  );
  const list = (label: string, side: 'masks' | 'columns'): JSX.Element => (
    <label class="al-dial-row">{label}
      <textarea class="al-field" rows={2} spellcheck={false} value={dial[side].join('\n')}
        onChange={event => turn({ [side]: lines(event.currentTarget.value) })} />
    </label>
  );
  return (
    <Dialog title={t('Context dial')} close={close}
      buttons={
        <>
          <button type="button" class="al-button" onClick={close}>{t('Cancel')}</button>
          <button type="button" class="al-button al-primary" onClick={save}>{t('Save')}</button>
        </>
      }>
      <p class="al-muted">{t('What of a kernel’s memory and output may reach the agent, in this folder and those below. Keys and tokens are always masked; the agent’s own commands and file reads are not held by it.')}</p>
      {choice(t('What you attach'), 'sent')}
      {choice(t('What tools and prompts tell by themselves'), 'read')}
      {list(t('Mask text that matches, one pattern a line'), 'masks')}
      {list(t('Mask the values of columns, one name a line'), 'columns')}
      <label class="al-dial-check">
        <input type="checkbox" checked={dial.since} onChange={event => turn({ since: event.currentTarget.checked })} />
        {t('Each prompt tells what happened since the last one')}
      </label>
      {refused && <p class="al-error" role="alert">{refused}</p>}
    </Dialog>
  );
}
