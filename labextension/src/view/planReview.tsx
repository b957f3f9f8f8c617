/** A plan as a document: commented on block by block, then approved or sent back. */

import type { JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import type { PermissionOption } from '../protocol.js';
import type { PermissionItem } from '../transcript.js';
import { useAnswerDraft } from './answerDrafts.js';
import { useChat } from './context.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { OneBlock } from './markdown.js';
import { AskFrame, rejection, useReady } from './permission.js';
import { planBlocks, planMessage, quoteOf } from './planComments.js';
import type { PlanBlock, PlanComment } from './planComments.js';
import { Visible, Words } from './text.js';

export function PlanReview({ item }: { item: PermissionItem }): JSX.Element {
  const chat = useChat();
  const { request } = item;
  const [note, write] = useAnswerDraft(item.id, 'note', '');
  const [comments, comment] = useAnswerDraft<readonly PlanComment[]>(item.id, 'comments', []);
  const [writing, start] = useAnswerDraft<PlanComment | undefined>(item.id, 'writing', undefined);
  const [sent, setSent] = useState(false);
  const ready = useReady();
  const no = rejection(request);
  const blocks = useMemo(() => planBlocks(request.description || t('The plan is empty.')), [request]);
  const all = writing?.text.trim() ? withComment(comments, writing) : comments;
  const message = planMessage(all, note);
  const settle = (option: PermissionOption): void => {
    if (!sent && ready) {
      setSent(true);
      void chat
        .answer({ request_id: request.request_id, option_id: option.option_id, ...(message ? { message } : {}) })
        .then(ok => setSent(ok));
      chat.composer.focus();
    }
  };
  const keep = (): void => {
    if (writing) {
      comment(withComment(comments, writing));
      start(undefined);
    }
  };
  const approvals = request.options.filter(option => option.kind.startsWith('allow'));
  const back =
    all.length === 0 ? t('Send back with comment')
    : tn('Send back with {n} comment', 'Send back with {n} comments', all.length);
  return (
    <AskFrame item={item} icon="todo" title={t('Plan to review')}
      sub={blocks.length > 1 ? tn('{n} part', '{n} parts', blocks.length) : ''}
      onKey={event => {
        if (event.key === 'Escape' && !event.defaultPrevented) {
          event.preventDefault();
          if (writing) {
            start(undefined);
          } else if (no && !message) {
            settle(no);
          }
        }
      }}>
      <div class="al-plan-doc" role="document" aria-label={t('Plan')} tabIndex={0}>
        {blocks.map((block, index) => (
          <Part key={index} block={block} index={index} writing={writing?.block === index ? writing : undefined}
            comments={comments.filter(each => each.block === index)} write={start} keep={keep}
            drop={gone => comment(comments.filter(each => each !== gone))} />
        ))}
      </div>
      <div class="al-ask-foot al-plan-foot">
        <textarea class="al-field al-comment" rows={1} value={note} aria-label={t('Comment on the plan')}
          placeholder={t('Comment on the whole, e.g. what to do differently')} onInput={event => write(event.currentTarget.value)} />
        <div class="al-buttons">
          {message && no && (
            <button type="button" class="al-button al-primary" disabled={sent} aria-disabled={!ready} onClick={() => settle(no)}>
              <Icon name="back" />{back}
            </button>
          )}
          {approvals.map((option, index) => (
            <button type="button" class={`al-button ${!message && index === 0 ? 'al-primary' : ''}`} disabled={sent}
              aria-disabled={!ready} title={option.scope} onClick={() => settle(option)} {...(index === 0 ? { 'data-first': true } : {})}>
              <Words text={option.label} />
            </button>
          ))}
          {!message && no && (
            <button type="button" class="al-button" disabled={sent} aria-disabled={!ready} onClick={() => settle(no)}><Words text={no.label} /></button>
          )}
        </div>
      </div>
    </AskFrame>
  );
}

/** One comment on the same words; no words: none. */
function withComment(comments: readonly PlanComment[], added: PlanComment): readonly PlanComment[] {
  const others = comments.filter(each => each.block !== added.block || each.quote !== added.quote);
  return added.text.trim() ? [...others, added] : others;
}

interface PartProps {
  readonly block: PlanBlock;
  readonly index: number;
  readonly comments: readonly PlanComment[];
  readonly writing: PlanComment | undefined;
  write(comment: PlanComment | undefined): void;
  keep(): void;
  drop(comment: PlanComment): void;
}

function Part({ block, index, comments, writing, write, keep, drop }: PartProps): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  const begun = useRef(false);
  const drawn = useMemo(() => ({ key: index, token: block.token, final: true }), [block, index]);
  const begin = (): void => {
    const quote = selectedIn(at.current) || quoteOf(block.text);
    const before = comments.find(each => each.quote === quote);
    begun.current = true;
    write(before ?? { block: index, quote, text: '' });
  };
  const words = block.text.replace(/\s+/g, ' ').slice(0, 60);
  return (
    <div class={`al-part ${comments.length > 0 || writing ? 'al-commented' : ''}`}>
      <div class="al-part-row">
        <div class="al-say" dir="auto" ref={at}><OneBlock block={drawn} /></div>
        <button type="button" class="al-button al-quiet al-square al-part-button" title={t('Comment on this')}
          aria-label={t('Comment on: {words}', { words })}
          // The press would take away the selection that the comment is about.
          onPointerDown={event => event.preventDefault()} onClick={begin}>
          <Icon name="comment" />
        </button>
      </div>
      {comments.filter(each => each !== writing && each.quote !== writing?.quote).map(each => (
        <div class="al-part-comment">
          <div>
            {each.quote !== quoteOf(block.text) && <q><Visible text={each.quote} /></q>}
            <p dir="auto"><span class="al-strong">{t('You')}</span> <Visible text={each.text} /></p>
          </div>
          <button type="button" class="al-button al-quiet al-square" aria-label={t('Edit the comment')} onClick={() => {
            begun.current = true;
            write(each);
          }}><Icon name="edit" /></button>
          <button type="button" class="al-button al-quiet al-square" aria-label={t('Remove the comment')} onClick={() => drop(each)}><Icon name="cross" /></button>
        </div>
      ))}
      {writing && (
        <form class="al-part-comment" onSubmit={event => {
          event.preventDefault();
          keep();
        }}>
          <div>
            {writing.quote !== quoteOf(block.text) && <q><Visible text={writing.quote} /></q>}
            <textarea class="al-field" rows={1} value={writing.text} aria-label={t('Your comment')}
              placeholder={t('Your comment on this')}
              ref={element => {
                if (element && begun.current) {
                  begun.current = false;
                  element.focus();
                }
              }}
              onKeyDown={event => {
                if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
                  event.preventDefault();
                  keep();
                }
              }}
              onInput={event => write({ ...writing, text: event.currentTarget.value })} />
          </div>
          <button type="submit" class="al-button">{t('Comment')}</button>
        </form>
      )}
    </div>
  );
}

/** What a person has selected of an element; "" when nothing, or more than it. */
function selectedIn(element: HTMLElement | null): string {
  const selection = element?.ownerDocument.getSelection();
  return selection && !selection.isCollapsed && element?.contains(selection.anchorNode) && element.contains(selection.focusNode)
    ? quoteOf(selection.toString().trim())
    : '';
}
