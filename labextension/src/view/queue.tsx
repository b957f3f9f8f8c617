/** Messages that wait for the running turn: to change, to take back, to send at once. */

import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { QueueItem } from '../protocol.js';
import { textOf } from '../transcript.js';
import { useAnswerDraft } from './answerDrafts.js';
import { QUEUED } from './chat.js';
import { useChat } from './context.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { Visible } from './text.js';

interface QueueProps {
  readonly items: readonly QueueItem[];
  /** A turn runs; else the last one failed, and the queue waits to be told. */
  readonly busy: boolean;
}

export const Queue = memo(({ items, busy }: QueueProps): JSX.Element => (
  <ul class="al-queue" aria-label={t('Queued messages')}>
    {items.map(item => <Queued key={item.id} item={item} busy={busy} />)}
  </ul>
));

function Queued({ item, busy }: { item: QueueItem; busy: boolean }): JSX.Element {
  const chat = useChat();
  const [text, edit] = useAnswerDraft<string | undefined>(item.id, QUEUED, undefined);
  const begun = useRef(false);
  const others = item.content.filter(block => block.type !== 'text');
  const words = textOf(item.content);
  const done = (): void => {
    edit(undefined);
    chat.answers.drop(item.id);
  };
  const save = (): void => {
    const next = text?.trim();
    done();
    if (next && next !== words) {
      void chat.send({ type: 'queue_edit', item_id: item.id, content: [{ type: 'text', text: next }, ...others] });
    }
  };
  if (text !== undefined) {
    return (
      <li class="al-strip">
        <Icon name="clock" />
        <textarea class="al-field al-grow" rows={1} value={text} aria-label={t('Edit queued message')}
          ref={element => {
            if (element && begun.current) {
              begun.current = false;
              element.focus();
            }
          }}
          onInput={event => edit(event.currentTarget.value)}
          onKeyDown={event => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              save();
            } else if (event.key === 'Escape') {
              event.preventDefault();
              done();
            }
          }} />
        <button type="button" class="al-button al-quiet" onClick={save}>{t('Save')}</button>
      </li>
    );
  }
  const extra = others.length + item.context.length;
  return (
    <li class="al-strip">
      <Icon name="clock" />
      <span class="al-strip-label">{busy ? t('Queued') : t('Waits for you')}</span>
      <span class="al-cut al-grow"><Visible text={words.replaceAll('\n', ' ')} /></span>
      {extra > 0 && <span class="al-strip-label">{t('+{n} attached', { n: extra })}</span>}
      <button type="button" class="al-button al-quiet" title={busy ? t('Stops the running turn and sends this') : t('The last turn failed, so nothing was sent by itself')}
        onClick={() => void chat.send({ type: 'queue_send_now', item_id: item.id })}>{t('Send now')}</button>
      <button type="button" class="al-button al-quiet al-square" aria-label={t('Edit queued message')} onClick={() => {
        begun.current = true;
        chat.answers.set(item.id, 'was', words);
        edit(words);
      }}>
        <Icon name="edit" />
      </button>
      <button type="button" class="al-button al-quiet al-square" aria-label={t('Remove queued message')}
        onClick={() => void chat.send({ type: 'queue_remove', item_id: item.id })}>
        <Icon name="cross" />
      </button>
    </li>
  );
}
