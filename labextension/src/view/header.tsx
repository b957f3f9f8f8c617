/** Title, agent, state in words, and what the session has used so far. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Session } from '../protocol.js';
import type { Chat } from './chat.js';
import { cost, count } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { statusWords } from './status.js';
import { Visible } from './text.js';
import { useTicking } from './ticking.js';

interface HeaderProps {
  readonly chat: Chat;
  readonly session: Session | undefined;
  /** The state in words: the header is drawn again when it or the session is another. */
  readonly words: string;
}

export const Header = memo(({ chat, session }: HeaderProps): JSX.Element => {
  const [renaming, rename] = useState(false);
  return (
    <header class="al-head">
      <span class="al-head-title">
        {session && (renaming
          ? <Rename title={session.title} done={title => {
              rename(false);
              if (title && title !== session.title) {
                chat.set({ title });
              }
            }} />
          : (
            <button type="button" class="al-title" title={t('Rename')} onClick={() => rename(true)}>
              <Visible text={session.title || t('New session')} />
            </button>
          ))}
        {session && <span class="al-agent">{session.agent}</span>}
      </span>
      <State chat={chat} />
      {session ? <Meters usage={session.usage} /> : <span />}
      {session ? <Menu chat={chat} session={session} rename={() => rename(true)} /> : <span />}
    </header>
  );
});

function Rename({ title, done }: { title: string; done: (title: string) => void }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  const finish = (text: string): void => {
    if (!over.current) {
      over.current = true;
      done(text.trim());
    }
  };
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  return (
    <input ref={field} class="al-field al-rename" defaultValue={title} aria-label={t('Title')}
      onBlur={event => finish(event.currentTarget.value)}
      onKeyDown={event => {
        if (event.key === 'Enter' && !event.isComposing) {
          finish(event.currentTarget.value);
        } else if (event.key === 'Escape') {
          event.preventDefault();
          finish('');
        }
      }} />
  );
}

function State({ chat }: { chat: Chat }): JSX.Element {
  const { text, icon, tone, counts } = statusWords(chat, true);
  useTicking(counts);
  return (
    <span class={`al-state al-state-${tone}`} title={chat.session?.status_reason ?? text}>
      <Icon name={icon} class={icon === 'arc' ? 'al-spin' : ''} />
      <span class="al-cut">{text}</span>
    </span>
  );
}

const Meters = memo(({ usage }: { usage: Session['usage'] }): JSX.Element => {
  const { context_used: used, context_size: size } = usage;
  const share = used !== null && size ? Math.min(100, Math.round((used / size) * 100)) : null;
  const tokens =
    usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
  const price = cost(usage.cost_usd, usage.cost_source);
  return (
    <span class="al-meters">
      <span class={`al-context ${share !== null && share >= 80 ? 'al-full' : ''}`} role="status" aria-live="off"
        aria-label={t('Context')}
        title={share === null ? t('Context: not known yet')
          : t('Context: {used} of {size} tokens', { used: (used ?? 0).toLocaleString('en'), size: (size ?? 0).toLocaleString('en') })}>
        <span class="al-meter"><i style={{ width: `${share ?? 0}%` }} /></span>
        <span>
          <b>{share === null ? '–' : `${share}\u202f%`}</b>
          {size && <span class="al-wide"> {t('of {size}', { size: count(size) })}</span>}
        </span>
      </span>
      <span class="al-tokens"
        title={t('{input} in, {output} out, {read} read from cache, {write} written to cache', {
          input: count(usage.input_tokens), output: count(usage.output_tokens),
          read: count(usage.cache_read_tokens), write: count(usage.cache_write_tokens)
        })}>
        <b>{count(tokens)}</b><span class="al-wide"> {t('tokens')}</span>
      </span>
      <span role="status" aria-live="off" aria-label={t('Cost')}
        title={usage.cost_usd === null ? t('Cost: not known')
          : usage.cost_source === 'estimate' ? t('Cost, estimated from a price table')
          : t('Cost, as the agent reports it')}>
        <b>{price}</b>
      </span>
    </span>
  );
});

interface MenuProps {
  readonly chat: Chat;
  readonly session: Session;
  rename(): void;
}

function Menu({ chat, session, rename }: MenuProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const at = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!open) {
      return undefined;
    }
    at.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    const stop = new AbortController();
    document.addEventListener('pointerdown', event => {
      if (!at.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    }, { signal: stop.signal });
    return () => stop.abort();
  }, [open]);
  const move = (step: number): void => {
    const items = [...(at.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const now = items.indexOf(document.activeElement as HTMLElement);
    items[(now + step + items.length) % items.length]?.focus();
  };
  const item = (label: string, act: () => void): JSX.Element => (
    <button type="button" role="menuitem" tabIndex={-1} onClick={() => {
      setOpen(false);
      act();
    }}>{label}</button>
  );
  const ended = session.status === 'ended' || session.status === 'failed';
  return (
    <span class="al-menu-at" ref={at} onKeyDown={event => {
      if (open && event.key === 'Escape') {
        event.preventDefault();
        setOpen(false);
        at.current?.querySelector('button')?.focus();
      } else if (open && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
        event.preventDefault();
        move(event.key === 'ArrowDown' ? 1 : -1);
      }
    }}>
      <button type="button" class="al-button al-quiet al-square" aria-label={t('Session menu')}
        aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="more" />
      </button>
      {open && (
        <div class="al-menu" role="menu" aria-label={t('Session menu')}>
          {item(t('Rename'), rename)}
          {item(t('Save the transcript as JSON lines'), () => void save(chat))}
          {ended
            ? item(t('Resume'), () => void chat.post('resume'))
            : item(t('End session'), () => void chat.post('end'))}
        </div>
      )}
    </span>
  );
}

async function save(chat: Chat): Promise<void> {
  const { api, sessionId } = chat.host;
  try {
    const answer = await chat.host.fetch(
      `${api}/sessions/${encodeURIComponent(sessionId)}/export?format=jsonl`
    );
    if (!answer.ok) {
      throw new Error(t('The transcript could not be read: {why}', { why: `${answer.status} ${answer.statusText}` }));
    }
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${chat.session?.title || sessionId}.jsonl`.replace(/[/\\:]/g, '-');
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    chat.fail(error);
  }
}
