/** What went wrong or needs saying: each card says what is the matter and has what mends it. */

import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import type {
  ExitItem, InvalidItem, NoticeItem, TurnItem, UnknownItem, UserItem
} from '../transcript.js';
import { restore } from './actions.js';
import type { Chat, Trouble } from './chat.js';
import { useChat } from './context.js';
import { clock, cost, count, duration, elapsed, pretty } from './format.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { Line } from './line.js';
import { memo } from './memo.js';
import { findLast } from './sections.js';
import { plain, Visible, Words } from './text.js';
import { now, useTicking } from './ticking.js';

interface CardProps {
  readonly tone: 'error' | 'warning' | 'info';
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
  readonly detail?: string;
  readonly buttons?: ComponentChildren;
}

function Card({ tone, icon, title, children, detail, buttons }: CardProps): JSX.Element {
  const [open, set] = useState(false);
  return (
    <div class={`al-card-note al-tone-${tone}`} role="group" aria-label={title}>
      <Icon name={icon} />
      <div>
        <h3>{title}</h3>
        {children}
        {(buttons || detail) && (
          <div class="al-buttons">
            {buttons}
            {detail && (
              <button type="button" class="al-link" aria-expanded={open} onClick={() => set(!open)}>{t('Details')}</button>
            )}
          </div>
        )}
        {open && detail && <pre class="al-detail" tabIndex={0}><Visible text={plain(detail)} /></pre>}
      </div>
    </div>
  );
}

const LOGIN = 'claude /login';

interface Known {
  readonly icon: IconName;
  readonly title: string;
  readonly login?: boolean;
  readonly tone?: 'info';
}

/** Reasons that have their own title, and what mends them. */
function known(reason: string, agent: string): Known | undefined {
  switch (reason) {
    case 'agent_not_signed_in':
      return { icon: 'key', title: t('{agent} is not signed in', { agent }), login: true };
    case 'agent_not_installed':
      return { icon: 'warning', title: t('{agent} is not installed', { agent }) };
    case 'agent_start_failed':
      return { icon: 'bigCross', title: t('{agent} could not be started', { agent }) };
    case 'agent_exited':
      return { icon: 'bigCross', title: t('{agent} stopped in the middle of the turn', { agent }) };
    case 'agent_not_reading':
    case 'agent_silent':
      return { icon: 'clock', title: t('{agent} does not answer', { agent }) };
    case 'interrupted':
      return { icon: 'plug', title: t('The turn was cut off') };
    case 'overloaded':
      return { icon: 'warning', title: t('The model is overloaded') };
    case 'rate_limited':
      return { icon: 'clock', title: t('The limit of requests is reached') };
    case 'budget_exhausted':
      return { icon: 'warning', title: t('The budget is spent') };
    case 'model_not_found':
      return { icon: 'question', title: t('This model is not there') };
    case 'prompt_too_long':
    case 'context_full':
      return { icon: 'warning', title: t('The context is full') };
    case 'too_large':
      return { icon: 'warning', title: t('This is too large to send') };
    case 'invalid_image':
    case 'image_error':
      return { icon: 'image', title: t('An image could not be read') };
    case 'network':
    case 'unreachable':
      return { icon: 'plug', title: t('The model could not be reached') };
    case 'resume_not_found':
      return { icon: 'question', title: t('The history of this session was not found') };
    case 'in_use':
      return { icon: 'lock', title: t('This session is in use elsewhere') };
    case 'disk_full':
      return { icon: 'warning', title: t('The disk is full') };
    case 'storage':
      return { icon: 'warning', title: t('Nothing can be stored') };
    case 'already_resolved':
      return { icon: 'info', title: t('This was answered already') };
    case 'forked':
      return { icon: 'branch', title: t('A fork was made'), tone: 'info' };
    case 'connection_lost':
      return { icon: 'plug', title: t('The connection is lost') };
    default:
      return undefined;
  }
}

function SignIn(): JSX.Element {
  return <div class="al-codebox"><pre tabIndex={0}>{LOGIN}</pre></div>;
}

/** Where the host has a terminal, the button that opens the agent's own sign-in there. */
function SignInButton(): JSX.Element | null {
  const { host } = useChat();
  return host.openTerminal ? (
    <button type="button" class="al-button al-primary" onClick={() => host.openTerminal?.(LOGIN)}>
      {t('Sign in in the terminal')}
    </button>
  ) : null;
}

/** The end of a turn: what it cost, or why it failed and what to do. `live`: the session is busy still, or again. */
export const TurnEnd = memo(({ item, last, live }: { item: TurnItem; last: boolean; live: boolean }): JSX.Element => {
  const chat = useChat();
  const { usage, error } = item;
  const tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
  const line = (
    <div class="al-turn-end">
      {item.stop_reason === 'cancelled' && <span class="al-stopped"><Icon name="stop" />{t('Stopped')}</span>}
      <span>{usage.cost_usd === null ? t('cost –') : cost(usage.cost_usd, usage.cost_source)}</span>
      {tokens > 0 && <span>{tn('{n} token', '{n} tokens', tokens, { n: count(tokens) })}</span>}
      {item.duration_ms !== null && <span>{duration(item.duration_ms)}</span>}
    </div>
  );
  if (error) {
    const agent = chat.session?.agent ?? '';
    const { icon, title, login }: Known = known(error.reason, agent) ?? { icon: 'warning', title: t('The turn failed') };
    return (
      <>
        <Card tone="error" icon={icon} title={title} detail={error.detail}
          buttons={last && (login === true || error.retryable) && (
            <>
              {login && <SignInButton />}
              <button type="button" class={`al-button ${login ? '' : 'al-primary'}`} disabled={live} onClick={() => again(chat, item)}>
                {t('Try again')}
              </button>
            </>
          )}>
          <p><Words text={error.message} /></p>
          {login && last && <SignIn />}
        </Card>
        {tokens > 0 && line}
      </>
    );
  }
  const note =
    item.stop_reason === 'max_tokens' ? t('The answer reached its greatest length and ends here.')
    : item.stop_reason === 'max_turn_requests' ? t('The agent made as many steps as one turn may have. Say “go on” to continue.')
    : item.stop_reason === 'refusal' ? t('The model declined to answer this.')
    : undefined;
  return (
    <>
      {note && <Card tone="warning" icon="info" title={note} />}
      {line}
    </>
  );
});

/** Sends the prompt of a failed turn once more, as a new prompt. */
function again(chat: Chat, item: TurnItem): void {
  const items = chat.transcript?.items ?? [];
  const at = items.indexOf(item);
  const prompt = findLast(
    at < 0 ? items : items.slice(0, at),
    (each): each is UserItem => each.type === 'user_message'
  );
  if (prompt) {
    chat.prompt(prompt.content, prompt.context);
  }
}

export const NoticeRow = memo(({ item }: { item: NoticeItem }): JSX.Element => {
  if (item.level === 'info') {
    return <div class="al-note-line"><Icon name="info" /><span><Words text={item.text} /></span></div>;
  }
  const icon = item.level === 'error' ? 'failed' : 'warning';
  const [, head = item.text, rest = ''] = /^([^\n]{1,100}?[.!?:])\s+([^]+)$/.exec(item.text) ?? [];
  return <Card tone={item.level} icon={icon} title={head}>{rest && <p><Words text={rest} /></p>}</Card>;
});

export const ExitCard = memo(({ item, last }: { item: ExitItem; last: boolean }): JSX.Element | null => {
  const chat = useChat();
  if (item.expected) {
    return null;
  }
  const how = item.signal !== null ? t('signal {n}', { n: item.signal })
    : item.code !== null ? t('exit code {n}', { n: item.code }) : t('reason unknown');
  return (
    <Card tone="error" icon="bigCross" detail={item.stderr}
      title={t('{agent} has stopped ({how})', { agent: chat.session?.agent ?? '', how })}>
      {last && <p>{t('What was said is kept. The next message starts it again with the history.')}</p>}
    </Card>
  );
});

export const InvalidLine = memo(({ item }: { item: InvalidItem }): JSX.Element => {
  const [open, set] = useState(false);
  const words = item.reason === 'torn' ? t('a line that broke off')
    : item.reason === 'oversize' ? tn('a line of {n} byte, too long to read', 'a line of {n} bytes, too long to read', item.length, { n: item.length.toLocaleString('en') })
    : t('a line that is not of its protocol');
  return (
    <Line label={t('Unreadable output')} icon="warning" name={t('Unreadable output')} target={words} prose open={open}
      toggle={() => set(!open)}>
      <pre class="al-detail" tabIndex={0}><Visible text={plain(item.excerpt)} /></pre>
    </Line>
  );
});

export const UnknownLine = memo(({ item }: { item: UnknownItem }): JSX.Element => {
  const [open, set] = useState(false);
  const raw = item.raw;
  const type = typeof raw === 'object' && raw !== null && !Array.isArray(raw) && typeof raw['type'] === 'string' ? raw['type'] : '';
  return (
    <Line label={t('Unknown event')} icon="question" name={t('Unknown event')} target={type} open={open} toggle={() => set(!open)}>
      <pre class="al-detail" tabIndex={0}><Visible text={pretty(raw).slice(0, 20_000)} /></pre>
    </Line>
  );
});

/** Something this panel tried and the server refused. */
export function TroubleCard({ trouble }: { trouble: Trouble }): JSX.Element {
  const chat = useChat();
  const agent = chat.session?.agent ?? '';
  const { icon, title, login, tone }: Known = known(trouble.reason, agent) ?? { icon: 'warning', title: t('That did not work') };
  return (
    <div class="al-trouble">
      <Card tone={tone ?? 'error'} icon={icon} title={title}
        buttons={<>{login && <SignInButton />}<button type="button" class="al-button" onClick={() => chat.dismiss()}>{t('Close')}</button></>}>
        <p><Words text={trouble.message} /></p>
        {login && <SignIn />}
      </Card>
    </div>
  );
}

/** Always there, so that what comes into it is announced. */
export function NewerSession({ show }: { show: (() => void) | undefined }): JSX.Element {
  return (
    <div role="status" aria-label={t('New session')} class={show ? 'al-newer' : undefined}>
      {show && (
        <>
          <Icon name="info" /><span>{t('This notebook has a new session.')}</span>
          <button type="button" class="al-button" onClick={show}>{t('Show it')}</button>
        </>
      )}
    </div>
  );
}

/** The connection is lost, or will not come back by itself; or the session needs waking. */
export function ConnectionCard({ chat }: { chat: Chat }): JSX.Element | null {
  const { connection, session } = chat;
  const lost = chat.lostAt > 0;
  useTicking(lost);
  if (chat.removed) {
    return (
      <Card tone="info" icon="trash" title={t('This session is deleted')}
        buttons={<button type="button" class="al-button" onClick={() => void restore(chat)}>{t('Undo')}</button>}>
        <p>{t('For a day it can be brought back as it was.')}</p>
      </Card>
    );
  }
  if (lost) {
    const left = connection.name === 'lost' ? connection.retryAt - now() : 0;
    return (
      <Card tone="info" icon="plug" title={t('Connection to the server is lost')}
        buttons={<button type="button" class="al-button" onClick={() => chat.retryNow()}>{t('Try now')}</button>}>
        <p>
          {chat.busy
            ? t('Shown up to {time}. The turn may still be running there; it comes back here by itself.', { time: clock(new Date(chat.lostAt).toISOString()) })
            : t('It comes back by itself.')}{' '}
          {left > 0 ? t('Next try in {time}.', { time: elapsed(left + 999) }) : t('Trying now.')}
        </p>
      </Card>
    );
  }
  if (connection.name === 'closed' && connection.code !== 4410) {
    const texts: Readonly<Record<number, readonly [string, string]>> = {
      4401: [t('You are not signed in to Jupyter'), t('Reload the page to sign in again. What you wrote is kept.')],
      4403: [t('You may not see this session'), t('Ask whoever runs this server for the right to use agents.')],
      4404: [t('This session no longer exists'), t('It was deleted, or belongs to another server.')]
    };
    const [title, words] = texts[connection.code] ?? [t('The connection was closed'), t('Reload the page to try again.')];
    return (
      <Card tone="error" icon="plug" title={title}
        buttons={connection.code === 4401 && <button type="button" class="al-button al-primary" onClick={() => location.reload()}>{t('Reload')}</button>}>
        <p>{words}</p>
      </Card>
    );
  }
  if (session?.status === 'ended') {
    return (
      <Card tone="info" icon="dash" title={t('This session has ended')}
        buttons={<button type="button" class="al-button" onClick={() => void chat.post('resume')}>{t('Resume')}</button>}>
        <p>{t('It can be read, and resumed with its history.')}</p>
      </Card>
    );
  }
  const last = chat.transcript?.items.at(-1);
  const told = last?.type === 'agent_exited' || (last?.type === 'turn' && last.error !== null);
  if (session?.status === 'failed' && !told) {
    const { agent } = session;
    const { icon, title, login }: Known = known(session.status_reason ?? '', agent)
      ?? { icon: 'bigCross', title: t('{agent} has failed', { agent }) };
    return (
      <Card tone="error" icon={icon} title={title}
        buttons={<>{login && <SignInButton />}<button type="button" class="al-button" onClick={() => void chat.post('resume')}>{t('Try again')}</button></>}>
        {session.status_reason && <p><Words text={session.status_reason} /></p>}
        {login && <SignIn />}
      </Card>
    );
  }
  return null;
}
