/** The lasting permissions of a session: what is allowed or denied without asking, where it stands, Revoke. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Chat } from './chat.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { readRules } from './ruleList.js';
import type { Rule } from './ruleList.js';
import { Visible, Words } from './text.js';

type Loaded =
  | { readonly name: 'loading' }
  | { readonly name: 'failed'; readonly message: string }
  | { readonly name: 'here'; readonly rules: readonly Rule[] };

export function Rules({ chat }: { chat: Chat }): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  const [loaded, load] = useState<Loaded>({ name: 'loading' });
  /** The rule that is being revoked, or could not be, and why. */
  const [tried, tell] = useState<{ readonly id: string; readonly message: string }>();
  const address = `${chat.host.api}/sessions/${encodeURIComponent(chat.host.sessionId)}/rules`;
  const ask = async (url: string, init: RequestInit = {}): Promise<unknown> => {
    const answer = await chat.host.fetch(url, init);
    const body: unknown = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) {
      throw new Error(messageOf(body) ?? answer.statusText);
    }
    return body;
  };
  const read = async (): Promise<void> => {
    try {
      const rules = readRules(await ask(address));
      load(rules ? { name: 'here', rules } : { name: 'failed', message: t('The answer was not understood.') });
    } catch (error) {
      load({ name: 'failed', message: wordsOf(error) });
    }
  };
  const revoke = async (rule: Rule): Promise<void> => {
    tell({ id: rule.id, message: '' });
    try {
      await ask(`${address}/${encodeURIComponent(rule.id)}`, { method: 'DELETE' });
      tell(undefined);
      await read();
    } catch (error) {
      tell({ id: rule.id, message: wordsOf(error) });
    }
    at.current?.focus();
  };
  useEffect(() => {
    at.current?.focus();
    void read();
  }, []);
  const close = (): void => {
    chat.hideRules();
    chat.composer.focus();
  };
  return (
    <div class="al-rules" role="dialog" aria-label={t('Permissions')} tabIndex={-1} ref={at}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.preventDefault();
          close();
        }
      }}>
      <div class="al-rules-head">
        <Icon name="shield" />
        <h3>{t('Permissions')}</h3>
        <button type="button" class="al-button al-quiet al-square" aria-label={t('Close')} onClick={close}><Icon name="cross" /></button>
      </div>
      {loaded.name === 'loading' && <p class="al-muted" role="status">{t('Asking the agent…')}</p>}
      {loaded.name === 'failed' && (
        <>
          <p role="alert"><Words text={loaded.message} /></p>
          <button type="button" class="al-button" onClick={() => void read()}>{t('Try again')}</button>
        </>
      )}
      {loaded.name === 'here' && (
        <>
          <p class="al-muted">
            {loaded.rules.length
              ? t('What is decided without asking you, here and now.')
              : t('Nothing is allowed or denied for longer than once. What you choose to always allow is listed here.')}
          </p>
          <ul aria-label={t('Rules')}>
            {loaded.rules.map(rule => (
              <li key={rule.id}>
                <Behavior behavior={rule.behavior} />
                <div>
                  <code class="al-inline"><Visible text={rule.rule} /></code>
                  <span class="al-option-scope"><Words text={rule.where} />{rule.file !== null && <> <RuleFile chat={chat} path={rule.file} /></>}</span>
                  {tried?.id === rule.id && tried.message && <span class="al-option-scope al-error" role="alert"><Words text={tried.message} /></span>}
                </div>
                {rule.revocable
                  ? (
                    <button type="button" class="al-button" aria-label={t('Revoke {rule}', { rule: rule.rule })}
                      disabled={tried?.id === rule.id && !tried.message} onClick={() => void revoke(rule)}>
                      {t('Revoke')}
                    </button>
                  )
                  : <span class="al-muted" title={t('It is set by others than you.')}>{t('fixed')}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function Behavior({ behavior }: { behavior: Rule['behavior'] }): JSX.Element {
  switch (behavior) {
    case 'allow':
      return <span class="al-rule-kind al-ok"><Icon name="check" />{t('Allowed')}</span>;
    case 'deny':
      return <span class="al-rule-kind al-error"><Icon name="cross" />{t('Denied')}</span>;
    case 'ask':
      return <span class="al-rule-kind"><Icon name="question" />{t('Asks')}</span>;
  }
}

function RuleFile({ chat, path }: { chat: Chat; path: string }): JSX.Element {
  const { openFile } = chat.host;
  const cwd = chat.session?.workspace.cwd ?? '';
  // Only what lies in the session's folder can be opened by the host.
  return openFile && cwd && path.startsWith(`${cwd}/`)
    ? <button type="button" class="al-link" onClick={() => chat.host.openFile?.(path)}><Visible text={path.slice(cwd.length + 1)} /></button>
    : <code><Visible text={path} /></code>;
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const messageOf = (body: unknown): string | undefined =>
  typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string' ? body.message : undefined;
