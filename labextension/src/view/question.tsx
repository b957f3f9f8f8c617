/** Questions from the agent as a form: one or several choices each, or an answer in one's own words. */

import type { JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Question } from '../protocol.js';
import type { PermissionItem } from '../transcript.js';
import { useAnswerDraft } from './answerDrafts.js';
import { useChat } from './context.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { AskFrame, rejection, useReady } from './permission.js';
import { Words } from './text.js';

interface Answer {
  readonly chosen: readonly string[];
  readonly own: string;
  /** The own words count: for a single choice they exclude the others. */
  readonly ownChosen: boolean;
}
const NOTHING: Answer = { chosen: [], own: '', ownChosen: false };

const said = (answer: Answer): string =>
  [...answer.chosen, ...(answer.ownChosen && answer.own.trim() ? [answer.own.trim()] : [])].join(', ');

export function QuestionForm({ item }: { item: PermissionItem }): JSX.Element {
  const chat = useChat();
  const { request } = item;
  const { questions } = request;
  const [given, give] = useAnswerDraft<readonly Answer[]>(item.id, 'given', questions.map(() => NOTHING));
  const [sent, setSent] = useState(false);
  const ready = useReady();
  const no = rejection(request);
  const yes = request.options.find(option => option.kind.startsWith('allow'));
  const complete = given.every(answer => said(answer) !== '');
  const settle = (option: typeof yes, answers?: Record<string, string>): void => {
    if (option && !sent && ready) {
      setSent(true);
      void chat
        .answer({ request_id: request.request_id, option_id: option.option_id, ...(answers ? { answers } : {}) })
        .then(ok => setSent(ok));
      chat.composer.focus();
    }
  };
  const title = tn('A question', '{n} questions', questions.length);
  return (
    <AskFrame item={item} icon="question" title={title} sub={questions.map(each => each.header).filter(Boolean).join(', ')}
      onKey={event => {
        if (event.key === 'Escape' && !event.defaultPrevented) {
          event.preventDefault();
          settle(no);
        }
      }}>
      <form onSubmit={event => {
        event.preventDefault();
        if (complete) {
          settle(yes, Object.fromEntries(questions.map((each, i) => [each.question, said(given[i] ?? NOTHING)])));
        }
      }}>
        <div class="al-ask-body">
          {questions.map((question, index) => (
            <OneQuestion question={question} first={index === 0} answer={given[index] ?? NOTHING}
              set={answer => give(given.map((each, i) => (i === index ? answer : each)))} />
          ))}
        </div>
        <div class="al-ask-foot">
          <button type="submit" class="al-button al-primary" disabled={!complete || sent} aria-disabled={!ready}>
            <Icon name="enter" />{tn('Send answer', 'Send answers', questions.length)}
          </button>
          {no && <button type="button" class="al-button" disabled={sent} aria-disabled={!ready} onClick={() => settle(no)}>{t('Skip')}</button>}
        </div>
      </form>
    </AskFrame>
  );
}

interface OneProps {
  readonly question: Question;
  readonly answer: Answer;
  readonly first: boolean;
  set(answer: Answer): void;
}

function OneQuestion({ question, answer, first, set }: OneProps): JSX.Element {
  const id = useId();
  const type = question.multiple ? 'checkbox' : 'radio';
  const choose = (label: string, on: boolean): void =>
    set(
      question.multiple
        ? { ...answer, chosen: question.choices.map(c => c.label).filter(l => (l === label ? on : answer.chosen.includes(l))) }
        : { ...answer, chosen: [label], ownChosen: false }
    );
  return (
    <fieldset class="al-question">
      <legend>
        <Words text={question.question} />
        {question.multiple && <span class="al-muted al-any"> {t('Any number')}</span>}
      </legend>
      {question.choices.map((choice, index) => (
        <label class="al-choice">
          <input type={type} name={id} checked={answer.chosen.includes(choice.label)}
            onChange={event => choose(choice.label, event.currentTarget.checked)}
            {...(first && index === 0 ? { 'data-first': true } : {})} />
          <span>
            <Words text={choice.label} />
            {choice.description && <span class="al-option-scope"><Words text={choice.description} /></span>}
          </span>
        </label>
      ))}
      <div class="al-choice">
        <input type={type} name={id} checked={answer.ownChosen} aria-label={t('Something else')}
          onChange={event =>
            set({ ...answer, ownChosen: event.currentTarget.checked, chosen: question.multiple ? answer.chosen : [] })} />
        <input class="al-field" value={answer.own} placeholder={t('Something else…')} aria-label={t('Your own answer')}
          {...(first && !question.choices.length ? { 'data-first': true } : {})}
          onInput={event => {
            const own = event.currentTarget.value;
            set({ own, ownChosen: own !== '', chosen: question.multiple || !own ? answer.chosen : [] });
          }} />
      </div>
    </fieldset>
  );
}
