/** Where a person writes: text, chips, pictures, commands, and the choices for the next turn. */

import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Session, SlashCommand } from '../protocol.js';
import { attachment, isLong, pasted } from './attachments.js';
import type { Attached } from './attachments.js';
import type { Chat } from './chat.js';
import { Chips } from './chips.js';
import { SinceChip } from './sinceChip.js';
import { askedAt, fitting, suggested } from './completion.js';
import type { Asked, Found, Offer } from './completion.js';
import { CompletionList, optionId } from './completionList.js';
import { useDrop } from './drop.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { useMentions } from './mentions.js';
import type { Mention } from './mentions.js';
import { Picks } from './picks.js';
import { listen } from './voice.js';

const GROWS_ITSELF = typeof CSS !== 'undefined' && CSS.supports('field-sizing', 'content');

interface ComposerProps {
  readonly chat: Chat;
  readonly session: Session | undefined;
  readonly busy: boolean;
  readonly stopping: boolean;
  readonly lost: boolean;
  /** Grows with what is written: the composer is drawn again for that, not for what the agent says. */
  readonly written: number;
  /** Whether there is a button for dictation. */
  readonly voice: boolean;
}

/** What a line below the text says: what went wrong, or what was done and can be undone. */
interface Note {
  readonly text: string;
  readonly bad: boolean;
  readonly undo?: () => void;
}

export const Composer = memo(({ chat, session, busy, stopping, lost, voice }: ComposerProps): JSX.Element => {
  const { composer } = chat;
  const field = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const root = useRef<HTMLDivElement>(null);
  /** The word being completed; `pointed`: what the arrow keys chose, undefined while they chose nothing. */
  const [asked, ask] = useState<Asked>();
  const [pointed, point] = useState<number>();
  const closed = useRef('');
  const history = useRef({ at: -1, draft: '' });
  const plainPaste = useRef(false);
  const [note, setNote] = useState<Note>();
  const [stopHearing, setStopHearing] = useState<() => void>();
  const [hearing, hear] = useState('');
  const listId = useId();
  const readOnly = session?.status === 'ended' || (session?.mode === 'terminal');
  const mentions = useMentions(chat, asked?.kind === 'mention' ? asked.query : undefined);

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
  useEffect(() => stopHearing, [stopHearing]);

  /** What the word at the caret asks for, read from the field: a key may come before the next drawing. */
  const look = (): Asked | undefined => {
    const area = field.current;
    // What was recalled is not being written: the arrow keys go on through the history.
    if (!area || readOnly || history.current.at >= 0 || area.selectionStart !== area.selectionEnd) {
      return undefined;
    }
    const now = askedAt(area.value, area.selectionStart);
    return now && signOf(now, area.value) !== closed.current ? now : undefined;
  };
  const lookAgain = (): void => {
    const now = look();
    if (now?.kind !== asked?.kind || now?.from !== asked?.from || now?.query !== asked?.query) {
      ask(now);
      point(undefined);
    }
  };
  const offersFor = (now: Asked | undefined): readonly Found<Offer | Mention>[] =>
    now === undefined ? []
    : now.kind === 'command' ? fitting((session?.commands ?? []).map(offerOf), now.query)
    : fitting(mentions, now.query);
  const found = offersFor(asked);
  const open = found.length > 0;
  const active = asked && open ? Math.min(pointed ?? suggested(found, asked), found.length - 1) : -1;
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
    history.current = { at: -1, draft: '' };
    closed.current = '';
    ask(undefined);
    setNote(undefined);
  };
  const focusBack = (): void => {
    // On touch the focus would open the keyboard over what is read.
    if (!matchMedia('(pointer: coarse)').matches) {
      composer.focus();
    }
  };

  const take = (now: Asked, { offer }: Found<Offer | Mention>): void => {
    const area = field.current;
    if (!area) {
      return;
    }
    if ('item' in offer) {
      replace(area, now.from, now.to, `${offer.words} `);
      void offer.item().then(item => composer.add(item), (error: unknown) => chat.fail(error));
    } else {
      replace(area, now.from, now.to, `/${offer.label} `);
    }
    ask(undefined);
    point(undefined);
  };
  /** Into a folder: its name is asked for further. */
  const enter = (now: Asked, offer: Mention): void => {
    if (field.current) {
      replace(field.current, now.from, now.to, `@${offer.label}`);
      lookAgain();
    }
  };

  const recall = (step: number): boolean => {
    const texts = chat.history();
    const { at, draft } = history.current;
    const next = at + step;
    if (next < -1 || next >= texts.length) {
      return false;
    }
    history.current = { at: next, draft: at < 0 ? composer.text : draft };
    const text = next < 0 ? history.current.draft : texts[next] ?? '';
    composer.setText(text);
    ask(undefined);
    return true;
  };

  const onKey = (event: TargetedKeyboardEvent<HTMLTextAreaElement>): void => {
    // An input method's Enter chooses a word; 229 is what some browsers send in its place.
    if (event.isComposing || event.keyCode === 229) {
      return;
    }
    const area = event.currentTarget;
    const { key } = event;
    const bare = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    plainPaste.current = event.shiftKey && key.toLowerCase() === 'v';
    const now = look();
    const found = offersFor(now);
    if (now && found.length) {
      const same = now.query === asked?.query && now.from === asked.from;
      const active = Math.min((same ? pointed : undefined) ?? suggested(found, now), found.length - 1);
      if (bare && (key === 'ArrowDown' || key === 'ArrowUp')) {
        event.preventDefault();
        ask(now);
        point(key === 'ArrowDown' ? (active + 1) % found.length : (Math.max(active, 0) - 1 + found.length) % found.length);
        return;
      }
      const chosen = found[active] ?? (key === 'Tab' ? found[0] : undefined);
      const typedWhole = now.kind === 'command' && now.query === chosen?.offer.label;
      if (chosen && bare && (key === 'Tab' || (key === 'Enter' && !typedWhole))) {
        event.preventDefault();
        if (key === 'Tab' && 'inner' in chosen.offer && chosen.offer.inner && chosen.offer.label !== now.query) {
          enter(now, chosen.offer);
        } else {
          take(now, chosen);
        }
        return;
      }
      if (key === 'Escape') {
        event.preventDefault();
        closed.current = signOf(now, area.value);
        ask(undefined);
        return;
      }
    }
    if (key === 'Enter' && bare) {
      event.preventDefault();
      send();
    } else if (bare && (key === 'ArrowUp' || key === 'ArrowDown') && area.selectionStart === area.selectionEnd) {
      const up = key === 'ArrowUp';
      if ((up || history.current.at >= 0) && atEdge(area, up) && recall(up ? 1 : -1)) {
        event.preventDefault();
      }
    }
  };

  const attach = async (files: readonly File[]): Promise<void> => {
    setNote(undefined);
    const refused: string[] = [];
    for (const file of files) {
      const made = await attachment(file);
      if (typeof made === 'string') {
        refused.push(made);
      } else {
        composer.attach(made);
      }
    }
    if (refused.length) {
      setNote({ text: refused.join('\n'), bad: true });
    }
  };
  const dropping = useDrop(root, readOnly, files => {
    void attach(files);
    focusBack();
  });
  const asText = (item: Attached): void => {
    const area = field.current;
    if (area && item.block.type === 'resource') {
      composer.detach(item);
      replace(area, area.selectionStart, area.selectionEnd, item.block.text);
      setNote(undefined);
    }
  };

  const dictate = (): void => {
    if (stopHearing) {
      stopHearing();
      return;
    }
    const stop = listen({
      said: words => {
        const area = field.current;
        if (area && words) {
          const before = area.value.slice(0, area.selectionStart);
          replace(area, area.selectionStart, area.selectionEnd, `${!before || /\s$/.test(before) ? '' : ' '}${words}`);
        }
      },
      hearing: hear,
      ended: error => {
        setStopHearing(undefined);
        hear('');
        if (error && error !== 'aborted' && error !== 'no-speech') {
          setNote({ text: error === 'not-allowed' ? t('The browser does not let this page use the microphone.')
            : t('Speech could not be recognised ({error}). The browser’s own service does it.', { error }), bad: true });
        }
      }
    });
    setStopHearing(() => stop);
  };

  return (
    <div class={`al-composer ${dropping ? 'al-dropping' : ''}`} ref={root}>
      {open && asked && (
        <CompletionList id={listId} label={asked.kind === 'command' ? t('Commands') : t('Things to attach')}
          found={found} active={active}
          take={index => {
            const chosen = found[index];
            if (chosen) {
              take(asked, chosen);
            }
          }} />
      )}
      <div class="al-unseen" aria-live="polite">{open ? tn('{n} to choose from', '{n} to choose from', found.length) : ''}</div>
      <SinceChip chat={chat} />
      <Chips composer={composer} asText={asText} />
      <textarea ref={field} class="al-input" rows={1} value={composer.text} dir="auto"
        aria-label={t('Message the agent')} aria-autocomplete="list" aria-multiline="true"
        {...(open ? { 'aria-controls': listId } : {})}
        {...(active >= 0 ? { 'aria-activedescendant': optionId(listId, active) } : {})}
        placeholder={readOnly ? t('This session has ended')
          : lost ? t('Kept as a draft until the server is back')
          : session?.commands.length ? t('Message the agent (@ to attach, / commands)')
          : t('Message the agent (@ to attach)')}
        disabled={readOnly}
        onInput={event => {
          const area = event.currentTarget;
          history.current = { at: -1, draft: '' };
          if (!askedAt(area.value, area.selectionStart)) {
            closed.current = '';
          }
          composer.setText(area.value);
          lookAgain();
        }}
        onKeyUp={lookAgain} onClick={lookAgain}
        onBlur={() => ask(undefined)}
        onKeyDown={onKey}
        onPaste={event => {
          const text = event.clipboardData?.getData('text/plain') ?? '';
          const files = [...(event.clipboardData?.files ?? [])];
          // A spreadsheet gives its cells as words and as a picture of them: the words are meant.
          if (files.length && !text) {
            event.preventDefault();
            void attach(files);
          } else if (isLong(text) && !plainPaste.current) {
            event.preventDefault();
            const chip = pasted(text);
            composer.attach(chip);
            setNote({ text: t('The long text became a chip.'), bad: false, undo: () => asText(chip) });
          }
        }} />
      {hearing && <div class="al-composer-note al-hearing" aria-live="off">{hearing}</div>}
      {note && (
        <div class={`al-composer-note ${note.bad ? '' : 'al-done'}`} role={note.bad ? 'alert' : 'status'}>
          <span>{note.text}</span>
          {note.undo && (
            <button type="button" class="al-link" onClick={note.undo}>{t('Paste as text')}</button>
          )}
          <button type="button" class="al-chip-drop" aria-label={t('Close the note')} onClick={() => {
            setNote(undefined);
            focusBack();
          }}><Icon name="cross" /></button>
        </div>
      )}
      <div class="al-bar">
        {session && <Picks session={session} set={change => chat.set(change)} />}
        <span class="al-grow" />
        {busy && !empty && <span class="al-hint">{t('Enter queues')}</span>}
        {voice && (
          <button type="button" class="al-button al-quiet al-square" aria-pressed={stopHearing !== undefined} disabled={readOnly}
            aria-label={t('Dictate')} title={t('Dictate: the browser sends what you say to its maker’s service')} onClick={dictate}>
            <Icon name="mic" class={stopHearing ? 'al-error' : ''} />
          </button>
        )}
        <button type="button" class="al-button al-quiet al-square al-attach" aria-label={t('Attach files')} title={t('Attach files')}
          disabled={readOnly} onClick={() => files.current?.click()}>
          <Icon name="clip" />
        </button>
        <input ref={files} type="file" multiple hidden tabIndex={-1} aria-label={t('Files to attach')}
          onChange={event => {
            void attach([...(event.currentTarget.files ?? [])]);
            // The same file again is a change, too.
            event.currentTarget.value = '';
            focusBack();
          }} />
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
      {dropping && <div class="al-drop-here" aria-hidden="true">{t('Drop to attach')}</div>}
    </div>
  );
});

/** Which word it is, so that a list closed for it stays closed while it is typed on. */
const signOf = (asked: Asked, text: string): string => text.slice(0, asked.from + 1);

const offerOf = ({ name, hint, description }: SlashCommand): Offer => ({
  id: name, group: 'command', icon: 'run', label: name, hint, detail: description
});

/** Through the browser's own command, so that undo brings back what stood there. */
function replace(area: HTMLTextAreaElement, from: number, to: number, text: string): void {
  area.focus();
  area.setSelectionRange(from, to);
  if (!document.execCommand('insertText', false, text)) {
    area.setRangeText(text, from, to, 'end');
    area.dispatchEvent(new Event('input', { bubbles: true }));
  }
}

/** The caret stands in the first row (else the last) as the text is wrapped on the screen. */
function atEdge(area: HTMLTextAreaElement, first: boolean): boolean {
  const { value, selectionStart: caret } = area;
  if (first ? value.slice(0, caret).includes('\n') : value.slice(caret).includes('\n')) {
    return false;
  }
  // A field does not tell where its rows begin; the same words in an element of the same width do.
  const mirror = document.createElement('div');
  mirror.className = 'al-input al-mirror';
  mirror.style.width = `${area.clientWidth}px`;
  const [here, edge] = [document.createElement('span'), document.createElement('span')];
  const parts = [value.slice(0, caret), here, value.slice(caret) || '\u200b'];
  mirror.append(...(first ? [edge, ...parts] : [...parts, edge]));
  area.after(mirror);
  const same = Math.abs(here.offsetTop - edge.offsetTop) < parseFloat(getComputedStyle(area).lineHeight) / 2;
  mirror.remove();
  return same;
}
