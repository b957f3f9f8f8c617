/** Where a person writes: text, chips, pictures, commands, and the choices for the next turn. */

import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Session, SlashCommand } from '../protocol.js';
import type { Chat } from './chat.js';
import { Chips } from './chips.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { imageBlock } from './images.js';
import { memo } from './memo.js';
import { Picks } from './picks.js';

const GROWS_ITSELF = typeof CSS !== 'undefined' && CSS.supports('field-sizing', 'content');
const MOST_COMMANDS = 8;

interface ComposerProps {
  readonly chat: Chat;
  readonly session: Session | undefined;
  readonly busy: boolean;
  readonly stopping: boolean;
  readonly lost: boolean;
  /** Grows with what is written: the composer is drawn again for that, not for what the agent says. */
  readonly written: number;
}

export const Composer = memo(({ chat, session, busy, stopping, lost }: ComposerProps): JSX.Element => {
  const { composer } = chat;
  const field = useRef<HTMLTextAreaElement>(null);
  const [chosen, choose] = useState(0);
  const [closed, close] = useState('');
  const [past, setPast] = useState(-1);
  const [note, setNote] = useState('');
  const listId = useId();
  const readOnly = session?.status === 'ended' || (session?.mode === 'terminal');

  useEffect(() => {
    composer.field = field.current;
    return () => {
      composer.field = null;
    };
  }, []);
  useEffect(() => {
    const element = field.current;
    if (element && !GROWS_ITSELF) {
      element.style.height = 'auto';
      element.style.height = `${element.scrollHeight}px`;
    }
  }, [composer.text]);

  const offered = (): SlashCommand[] =>
    composer.text === closed ? [] : matching(composer.text, session?.commands ?? []);
  const found = offered();
  const selected = Math.min(chosen, found.length - 1);
  const empty = composer.empty;

  const send = (): void => {
    const content = composer.content();
    // Asked of the state, not of what was drawn: a key may come before the frame that shows the last one.
    if (readOnly || composer.empty) {
      return;
    }
    chat.prompt(content, composer.context);
    composer.clear();
    // The button is disabled with the last word gone, and would take the focus with it.
    focusBack();
    setPast(-1);
    setNote('');
  };
  const focusBack = (): void => {
    // On touch the focus would open the keyboard over what is read.
    if (!matchMedia('(pointer: coarse)').matches) {
      composer.focus();
    }
  };
  const complete = (command: SlashCommand): void => {
    const text = `/${command.name} `;
    close(text);
    composer.setText(text);
    composer.focus();
  };
  const recall = (step: number): boolean => {
    const history = chat.history();
    const next = past + step;
    if (next < -1 || next >= history.length) {
      return false;
    }
    setPast(next);
    composer.setText(next < 0 ? '' : history[next] ?? '');
    return true;
  };

  const onKey = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // An input method's Enter chooses a word; 229 is what some browsers send in its place.
    if (event.isComposing || event.keyCode === 229) {
      return;
    }
    const area = event.currentTarget;
    const found = offered();
    const selected = Math.min(chosen, found.length - 1);
    if (found.length) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        choose((selected + (event.key === 'ArrowDown' ? 1 : -1) + found.length) % found.length);
        return;
      }
      const command = found[selected];
      const typedWhole = command !== undefined && composer.text === `/${command.name}`;
      if (command && (event.key === 'Tab' || (event.key === 'Enter' && !event.shiftKey && !typedWhole))) {
        event.preventDefault();
        complete(command);
        return;
      }
      if (event.key === 'Escape') {
        event.preventDefault();
        close(composer.text);
        return;
      }
    }
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && area.selectionStart === 0 && area.selectionEnd === 0 && (past >= 0 || !composer.text)) {
      if (recall(1)) {
        event.preventDefault();
      }
    } else if (event.key === 'ArrowDown' && past >= 0 && area.selectionStart === area.value.length) {
      if (recall(-1)) {
        event.preventDefault();
      }
    }
  };

  const take = async (files: readonly File[]): Promise<void> => {
    for (const file of files) {
      const made = await imageBlock(file);
      if (typeof made === 'string') {
        setNote(made);
      } else {
        composer.addImage(made);
      }
    }
  };

  return (
    <div class="al-composer"
      onDragOver={event => {
        if (event.dataTransfer?.types.includes('Files')) {
          event.preventDefault();
        }
      }}
      onDrop={event => {
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length) {
          event.preventDefault();
          void take(files);
        }
      }}>
      {found.length > 0 && (
        <div class="al-completion" role="listbox" id={listId} aria-label={t('Commands')}>
          {found.map((command, index) => (
            <div role="option" id={`${listId}-${index}`} aria-selected={index === selected}
              onPointerDown={event => {
                event.preventDefault();
                complete(command);
              }}>
              <code>/{command.name}</code>
              {command.hint && <span class="al-muted">{command.hint}</span>}
              <span class="al-completion-about">{command.description}</span>
            </div>
          ))}
        </div>
      )}
      <Chips composer={composer} />
      <textarea ref={field} class="al-input" rows={1} value={composer.text} dir="auto"
        aria-label={t('Message the agent')} aria-autocomplete="list"
        {...(found.length ? { 'aria-controls': listId, 'aria-activedescendant': `${listId}-${selected}` } : {})}
        placeholder={readOnly ? t('This session has ended')
          : lost ? t('Kept as a draft until the server is back')
          : session?.commands.length ? t('Message the agent, / for commands')
          : t('Message the agent')}
        disabled={readOnly}
        onInput={event => {
          choose(0);
          close('');
          setPast(-1);
          composer.setText(event.currentTarget.value);
        }}
        onKeyDown={onKey}
        onPaste={event => {
          const files = [...(event.clipboardData?.files ?? [])].filter(file => file.type.startsWith('image/'));
          // A spreadsheet gives its cells as words and as a picture of them: the words are meant.
          if (files.length && !event.clipboardData?.getData('text/plain')) {
            event.preventDefault();
            void take(files);
          }
        }} />
      {note && <div class="al-composer-note" role="alert">{note}</div>}
      <div class="al-bar">
        {session && <Picks session={session} set={change => chat.set(change)} />}
        <span class="al-grow" />
        {busy && !empty && <span class="al-hint">{t('Enter queues')}</span>}
        {busy && (
          <button type="button" class="al-button al-stop" aria-label={t('Stop')} disabled={stopping}
            onClick={() => {
              chat.stop();
              focusBack();
            }}>
            <Icon name="stop" />{t('Stop')}
          </button>
        )}
        <button type="button" class={`al-button al-send ${empty ? 'al-nothing' : 'al-primary'}`} aria-label={t('Send')}
          disabled={readOnly || empty} onClick={send}>
          <Icon name="enter" /><span class="al-send-word">{t('Send')}</span>
        </button>
      </div>
    </div>
  );
});

/** The agent's commands that begin as typed, then those that hold it. */
function matching(text: string, commands: readonly SlashCommand[]): SlashCommand[] {
  const typed = /^\/([\w:.-]*)$/.exec(text)?.[1]?.toLowerCase();
  if (typed === undefined) {
    return [];
  }
  const rank = (command: SlashCommand): number => command.name.toLowerCase().indexOf(typed);
  return commands
    .filter(command => rank(command) >= 0)
    .sort((a, b) => Number(rank(a) > 0) - Number(rank(b) > 0))
    .slice(0, MOST_COMMANDS);
}
