/** The header's menu: what can be done with the session, and what there is to know about the panel. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Session } from '../protocol.js';
import { fork, remove, save } from './actions.js';
import type { Chat } from './chat.js';
import { DialDialog } from './dialDialog.js';
import { useEscape } from './dialog.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { Shortcuts } from './shortcuts.js';
import { hasVoice, turnVoice, voiceIsOn } from './voice.js';

interface MenuProps {
  readonly chat: Chat;
  readonly session: Session;
  rename(): void;
  /** The narrowest panels have no room for its meter. */
  showContext(): void;
}

const ITEMS = '[role=menuitem], [role=menuitemcheckbox]';

export function Menu({ chat, session, rename, showContext }: MenuProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const [help, showHelp] = useState(false);
  const [dial, showDial] = useState(false);
  const at = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const items = (): HTMLElement[] => [...(at.current?.querySelectorAll<HTMLElement>(ITEMS) ?? [])];
  useEffect(() => {
    if (!open) {
      return undefined;
    }
    items()[0]?.focus();
    const stop = new AbortController();
    document.addEventListener('pointerdown', event => {
      if (at.current && !event.composedPath().includes(at.current)) {
        setOpen(false);
      }
    }, { signal: stop.signal });
    return () => stop.abort();
  }, [open]);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  useEscape(at, open, close);
  const onKey = (event: KeyboardEvent): void => {
    const all = items();
    const now = all.indexOf(event.target as HTMLElement);
    const to =
      event.key === 'ArrowDown' ? (now + 1) % all.length
      : event.key === 'ArrowUp' ? (now - 1 + all.length) % all.length
      : event.key === 'Home' ? 0
      : event.key === 'End' ? all.length - 1
      : undefined;
    if (to !== undefined) {
      event.preventDefault();
      all[to]?.focus();
    } else if (event.key === 'Tab') {
      setOpen(false);
    }
  };
  const item = (label: string, act: () => void, more: { on?: boolean; about?: string; danger?: boolean } = {}): JSX.Element => (
    <button type="button" role={more.on === undefined ? 'menuitem' : 'menuitemcheckbox'} tabIndex={-1}
      class={more.danger ? 'al-error' : ''} {...(more.on === undefined ? {} : { 'aria-checked': more.on })}
      onClick={() => {
        close();
        act();
      }}>
      {label}{more.on && <Icon name="check" class="al-menu-check" />}
      {more.about && <span class="al-menu-about">{more.about}</span>}
    </button>
  );
  const ended = session.status === 'ended' || session.status === 'failed';
  return (
    <span class="al-menu-at" ref={at}>
      <button type="button" ref={button} class="al-button al-quiet al-square" aria-label={t('Session menu')}
        aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="more" />
      </button>
      {open && (
        <div class="al-menu" role="menu" aria-label={t('Session menu')} onKeyDown={onKey}>
          {item(t('Rename'), rename)}
          {item(t('What fills the context'), showContext)}
          {item(t('Fork'), () => void fork(chat), { about: t('A new session with this history') })}
          {item(t('Save the transcript as JSON lines'), () => void save(chat))}
          {item(t('Context dial…'), () => showDial(true), { about: t('What may leave the kernels of this folder') })}
          {item(t('Permissions…'), () => chat.showRules())}
          {hasVoice() && item(t('Voice input'), () => {
            turnVoice(!voiceIsOn());
            chat.touch();
            chat.composer.focus();
          }, { on: voiceIsOn(), about: t('Audio leaves this machine: the browser’s maker turns it into text') })}
          {item(t('Keyboard shortcuts'), () => showHelp(true))}
          <hr />
          {ended
            ? item(t('Resume'), () => void chat.post('resume'))
            : item(t('End session'), () => void chat.post('end'), { about: t('Stops the agent; the transcript stays') })}
          {item(t('Delete'), () => void remove(chat), { danger: true, about: t('Can be undone for a day') })}
        </div>
      )}
      {help && <Shortcuts close={() => showHelp(false)} />}
      {dial && <DialDialog chat={chat} close={() => showDial(false)} />}
    </span>
  );
}
