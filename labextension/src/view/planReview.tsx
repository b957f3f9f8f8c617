/** A plan as a document: to approve, or to send back with a comment. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { PermissionOption } from '../protocol.js';
import type { PermissionItem } from '../transcript.js';
import { useChat } from './context.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { Markdown } from './markdown.js';
import { AskFrame, rejection, useReady } from './permission.js';
import { Words } from './text.js';

export function PlanReview({ item }: { item: PermissionItem }): JSX.Element {
  const chat = useChat();
  const { request } = item;
  const [comment, write] = useState('');
  const [sent, setSent] = useState(false);
  const ready = useReady();
  const no = rejection(request);
  const note = comment.trim();
  const settle = (option: PermissionOption): void => {
    if (!sent && ready) {
      setSent(true);
      void chat
        .answer({ request_id: request.request_id, option_id: option.option_id, ...(note ? { message: note } : {}) })
        .then(ok => setSent(ok));
      chat.composer.focus();
    }
  };
  const approvals = request.options.filter(option => option.kind.startsWith('allow'));
  return (
    <AskFrame item={item} icon="todo" title={t('Plan to review')}
      onKey={event => {
        if (event.key === 'Escape' && !event.defaultPrevented) {
          event.preventDefault();
          if (no) {
            settle(no);
          }
        }
      }}>
      <div class="al-plan-doc"><Markdown text={request.description || t('The plan is empty.')} done /></div>
      <div class="al-ask-foot al-plan-foot">
        <textarea class="al-field al-comment" rows={1} value={comment} aria-label={t('Comment on the plan')}
          placeholder={t('Comment, e.g. what to do differently')} onInput={event => write(event.currentTarget.value)} />
        <div class="al-buttons">
          {note && no && (
            <button type="button" class="al-button al-primary" disabled={sent} aria-disabled={!ready} onClick={() => settle(no)}>
              <Icon name="back" />{t('Send back with comment')}
            </button>
          )}
          {approvals.map((option, index) => (
            <button type="button" class={`al-button ${!note && index === 0 ? 'al-primary' : ''}`} disabled={sent}
              aria-disabled={!ready} title={option.scope} onClick={() => settle(option)} {...(index === 0 ? { 'data-first': true } : {})}>
              <Words text={option.label} />
            </button>
          ))}
          {!note && no && (
            <button type="button" class="al-button" disabled={sent} aria-disabled={!ready} onClick={() => settle(no)}><Words text={no.label} /></button>
          )}
        </div>
      </div>
    </AskFrame>
  );
}
