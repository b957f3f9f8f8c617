/** Title, agent, state in words, and what the session has used so far. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Session } from '../protocol.js';
import type { Chat } from './chat.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { Menu } from './menu.js';
import { Meters } from './meter.js';
import type { Shown } from './meter.js';
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
  const [shown, show] = useState<Shown>();
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
      {session ? <Meters chat={chat} shown={shown} show={show} usage={session.usage} canCompact={canCompact(session)} /> : <span />}
      {session ? <Menu chat={chat} session={session} rename={() => rename(true)} showContext={() => show('context')} /> : <span />}
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

const canCompact = (session: Session): boolean =>
  session.status !== 'ended' && session.commands.some(command => command.name === 'compact');
