/** A person's prompt: a tinted band, with what was sent beneath, word for word. */

import type { JSX } from 'preact';
import type { ContentBlock, ContextItem } from '../protocol.js';
import type { UserItem } from '../transcript.js';
import { textOf } from '../transcript.js';
import { fork } from './actions.js';
import type { Sending } from './chat.js';
import { ContextText, contextIcon, contextLabel } from './chips.js';
import { useChat } from './context.js';
import { clock } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { memo } from './memo.js';
import { Visible } from './text.js';

interface BandProps {
  readonly id: string;
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
  readonly time: string;
  readonly note?: string;
  /** What can be done with it. */
  readonly action?: JSX.Element;
}

const LONG = 1500;

function Band({ id, content, context, time, note, action }: BandProps): JSX.Element {
  const [shown, show] = useKept<boolean>(`sent:${id}`, false);
  const [whole, showWhole] = useKept<boolean>(`whole:${id}`, false);
  const text = textOf(content);
  const others = content.filter(block => block.type !== 'text');
  const cut = text.length > LONG && !whole;
  const along = others.length > 0 || context.length > 0;
  return (
    <div class="al-prompt">
      <p dir="auto"><Visible text={cut ? `${text.slice(0, LONG)}…` : text} /></p>
      <span class="al-prompt-side">
        {action}
        {!along && (
          <button type="button" class="al-button al-quiet al-square al-what" aria-label={t('What was sent')} title={t('What was sent')}
            aria-expanded={shown} onClick={() => show(!shown)}>
            <Icon name="review" />
          </button>
        )}
        <time dateTime={time}>{clock(time)}</time>
      </span>
      {cut && <button type="button" class="al-link" onClick={() => showWhole(true)}>{t('Show more')}</button>}
      {(along || note) && (
        <div class="al-sent">
          {others.map(block => (
            <span>
              <Icon name={block.type === 'image' ? 'image' : 'clip'} />
              {block.type === 'resource' ? <Visible text={block.name || block.uri} /> : t('image')}
            </span>
          ))}
          {context.map(item => (
            <span><Icon name={contextIcon(item)} /><Visible text={contextLabel(item)} /></span>
          ))}
          {along && (
            <button type="button" class="al-link" aria-expanded={shown} onClick={() => show(!shown)}>
              {t('What was sent')}
            </button>
          )}
          {note && <span><Icon name="clock" />{note}</span>}
        </div>
      )}
      {shown && (
        <div class="al-sent-all">
          {text && (
            <div class="al-preview">
              <div class="al-preview-head">{t('Your words, as they were sent')}</div>
              <pre tabIndex={0}><Visible text={text} /></pre>
            </div>
          )}
          {!along && <p class="al-muted">{t('Nothing else went along.')}</p>}
          {others.map(block =>
            block.type === 'image'
              ? <img class="al-picture" alt={t('Image')} src={`data:${block.mime_type};base64,${block.data}`} />
              : block.type === 'resource'
                ? <pre tabIndex={0}><Visible text={block.text || block.uri} /></pre>
                : null
          )}
          {context.map(item => <ContextText item={item} />)}
        </div>
      )}
    </div>
  );
}

export const UserMessage = memo(({ item }: { item: UserItem }): JSX.Element => {
  const from =
    item.origin === 'composer' || item.origin === 'agent' ? undefined
    : item.origin === 'magic' ? t('from the notebook, %agent')
    : item.origin === 'notebook' ? t('from the notebook')
    : item.origin === 'terminal' ? t('from the terminal')
    : item.origin === 'review' ? t('sent back from a review')
    : item.origin === 'cli' ? t('from the command line')
    : t('from another program');
  return (
    <Band id={item.id} content={item.content} context={item.context} time={item.time} action={<ForkButton item={item} />}
      {...(from ? { note: from } : {})} />
  );
});

/** A new session with all that came before this message, which waits there to be said otherwise. */
export function ForkButton({ item }: { item: UserItem }): JSX.Element {
  const chat = useChat();
  return (
    <button type="button" class="al-button al-quiet al-square al-fork" aria-label={t('Fork from here')}
      title={t('Fork from here: a new session with what came before; this message and all that went along wait there to be sent anew')}
      onClick={() => void fork(chat, item)}>
      <Icon name="branch" />
    </button>
  );
}

export function SendingMessage({ sending, lost }: { sending: Sending; lost: boolean }): JSX.Element {
  const { id, content, context, time } = sending;
  return <Band id={id} content={content} context={context} time={time} note={lost ? t('not sent yet') : t('sending')} />;
}
