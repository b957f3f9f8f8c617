/** What the agent may not do without a person: asked at its place in the conversation, in plain words. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Json, PermissionOption, PermissionRequest } from '../protocol.js';
import type { PermissionItem, ToolItem } from '../transcript.js';
import { useAnswerDraft } from './answerDrafts.js';
import { ChangeCard, ChangeLine, RunTrial } from './cellChange.js';
import { useChat } from './context.js';
import { Diff } from './diff.js';
import { Effects } from './effects.js';
import { elapsed, firstLine, pretty } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import { Markdown } from './markdown.js';
import { memo } from './memo.js';
import { PlanReview } from './planReview.js';
import { QuestionForm } from './question.js';
import { hides, Visible, Words } from './text.js';
import { useTicking } from './ticking.js';
import { InputTable } from './toolBody.js';
import { decided } from './toolCall.js';
import { diffs, field, fieldsOf, toolName } from './tools.js';

/** An answer that comes this soon (ms) after the question appeared was meant for something else. */
const TOO_SOON = 500;

/**
 * False until a person can have read the question; what answers it is shown as not working until then.
 * It begins anew when `seen` becomes another: what moves the answers about.
 */
export function useReady(seen?: unknown): boolean {
  const [ready, set] = useState(false);
  useEffect(() => {
    set(false);
    const timer = setTimeout(() => set(true), TOO_SOON);
    return () => clearTimeout(timer);
  }, [seen]);
  return ready;
}

interface CardProps {
  readonly item: PermissionItem;
  readonly live: boolean;
  /** The call that it was about, where no card of its own tells of that. */
  readonly call: ToolItem | undefined;
}

export const PermissionCard = memo(({ item, live, call }: CardProps): JSX.Element => {
  const { request } = item;
  if (item.outcome !== null || !live) {
    return request.change ? <ChangeLine item={item} call={call} /> : <Decided item={item} />;
  }
  return request.change ? <ChangeCard item={item} />
    : request.kind === 'question' ? <QuestionForm item={item} />
    : request.kind === 'plan' ? <PlanReview item={item} />
    : <ToolPermission item={item} />;
});

/** What was decided, as one line; open, what it was about. */
function Decided({ item }: { item: PermissionItem }): JSX.Element {
  const { request, answers } = item;
  const [open, set] = useKept<boolean>(`open:${item.id}`, false);
  const icon: IconName = request.kind === 'question' ? 'question' : request.kind === 'plan' ? 'todo' : 'shield';
  const chosen = request.options.find(option => option.option_id === item.option_id);
  const allowed = item.outcome === 'selected' && chosen?.kind.startsWith('allow') === true;
  const words =
    item.outcome !== 'selected' ? t('not answered')
    : request.kind === 'question' ? (answers ? Object.values(answers).join(' · ') : t('skipped'))
    : request.kind === 'plan' ? (allowed ? t('approved') : t('sent back'))
    : decided(item);
  const title = request.kind === 'tool' ? request.title : request.kind === 'plan' ? t('Plan')
    : request.questions.length === 1 ? request.questions[0]?.question ?? request.title : request.title;
  return (
    <>
      <Line label={title} icon={icon} name={request.kind === 'question' ? t('Question') : title}
        target={request.kind === 'question' ? `${title}: ${words}` : words} prose open={open} toggle={() => set(!open)} card>
        <div class="al-card-body">
          {answers
            ? <dl class="al-answers">{Object.entries(answers).map(([q, a]) => <><dt><Visible text={q} /></dt><dd><Visible text={a} /></dd></>)}</dl>
            : request.description ? <Markdown text={request.description} done />
            : <InputTable input={request.input} skip={new Set()} />}
        </div>
      </Line>
      <Told item={item} />
    </>
  );
}

/** What the agent was told with the answer: in the person's words, and of the trial. */
export function Told({ item: { message, trial } }: { item: PermissionItem }): JSX.Element | null {
  return message || trial
    ? (
      <>
        {message && (
          <div class="al-told"><Icon name="back" /><span class="al-strong">{t('You')}</span><span><Visible text={message} /></span></div>
        )}
        {trial && (
          <details class="al-told al-told-trial">
            <summary>{t('The agent was told what the trial showed')}</summary>
            <pre class="al-detail" tabIndex={0}><Visible text={trial} /></pre>
          </details>
        )}
      </>
    )
    : null;
}

interface FrameProps {
  readonly item: PermissionItem;
  readonly icon: IconName;
  readonly title: string;
  readonly sub?: string;
  readonly children: ComponentChildren;
  onKey?(event: KeyboardEvent): void;
}

/** The frame that all three kinds share: title, how long it waits, focus when it appears. */
export function AskFrame({ item, icon, title, sub, children, onKey }: FrameProps): JSX.Element {
  const chat = useChat();
  const at = useRef<HTMLDivElement>(null);
  useTicking(true);
  useEffect(() => {
    const frame = at.current;
    const active = frame?.ownerDocument.activeElement;
    const first = frame?.querySelector<HTMLElement>('[data-first]');
    // Focus is taken only from an empty composer of this panel: never while someone writes, and never
    // for a question out of sight of who reads further up: keys would answer what nobody sees.
    if (first && active === chat.composer.field && chat.composer.empty && inSight(first)) {
      first.focus({ preventScroll: true });
    }
  }, []);
  return (
    <div class="al-ask" role="group" aria-label={title} ref={at} onKeyDown={onKey}>
      <div class="al-ask-head">
        <Icon name={icon} />
        <span class="al-strong"><Visible text={title} /></span>
        {sub && <span class="al-muted al-cut al-ask-sub"><Visible text={sub} /></span>}
        <time>{t('waiting {time}', { time: elapsed(chat.since(item.id, item.time)) })}</time>
      </div>
      {children}
    </div>
  );
}

function inSight(element: HTMLElement): boolean {
  const log = element.closest('[role=log]')?.getBoundingClientRect();
  const { top, bottom } = element.getBoundingClientRect();
  return log !== undefined && top >= log.top - 1 && bottom <= log.bottom + 1;
}

/** The option that says no; undefined: the agent offers none. */
export const rejection = (request: PermissionRequest): PermissionOption | undefined =>
  request.options.find(option => option.kind === 'reject_once') ??
  request.options.find(option => option.kind === 'reject_always');

const COMMAND = ['command', 'code', 'source'] as const;

function ToolPermission({ item }: { item: PermissionItem }): JSX.Element {
  const chat = useChat();
  const { request } = item;
  const tool = chat.transcript?.items.find(
    (each): each is ToolItem => each.type === 'tool_call' && each.id === request.tool_call_id
  );
  const ready = useReady(request.effects);
  const [answered, setAnswered] = useState(false);
  const [edited, edit] = useAnswerDraft<string | undefined>(item.id, 'edited', undefined);
  const [tell, setTell] = useAnswerDraft(item.id, 'tell', '');
  const begun = useRef(false);
  const commandName = COMMAND.find(name => field(request.input, name));
  const original = commandName ? field(request.input, commandName) : pretty(request.input);
  const parsed = edited === undefined ? undefined : readInput(edited, request.input, commandName);
  const no = rejection(request);
  const changes = diffs(tool?.content ?? []);

  const answer = (option: PermissionOption, message?: string): void => {
    if (answered || !ready || (edited !== undefined && parsed === undefined)) {
      return;
    }
    setAnswered(true);
    const allows = option.kind.startsWith('allow');
    void chat
      .answer({
        request_id: request.request_id,
        option_id: option.option_id,
        ...(message ? { message } : {}),
        ...(allows && parsed !== undefined && edited !== original ? { updated_input: parsed } : {})
      })
      .then(ok => setAnswered(ok));
    chat.composer.focus();
  };
  const onKey = (event: KeyboardEvent): void => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    const option = request.options[Number(event.key) - 1];
    if (event.key === 'Escape' && !event.defaultPrevented) {
      event.preventDefault();
      if (edited !== undefined && typing) {
        edit(undefined);
      } else if (typing && tell) {
        setTell('');
      } else if (no) {
        answer(no);
      } else if (ready) {
        chat.stop();
      }
    } else if (!typing && /^[1-9]$/.test(event.key) && option && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      answer(option);
    } else if (!typing && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.al-option')];
      const now = all.indexOf(document.activeElement as HTMLElement);
      all[(now + (event.key === 'ArrowDown' ? 1 : -1) + all.length) % all.length]?.focus();
    }
  };
  const reason = request.description || field(request.input, 'description');
  return (
    <AskFrame item={item} icon="shield" title={heading(request, tool)} onKey={onKey}
      {...(tool ? { sub: toolName(tool) } : {})}>
      <div class="al-ask-body">
        {reason && <p dir="auto"><Words text={reason} /></p>}
        {edited !== undefined
          ? (
            <div>
              <textarea class="al-edit" value={edited} rows={Math.min(12, edited.split('\n').length + 1)}
                aria-label={t('Edit the input')} spellcheck={false}
                ref={element => {
                  // One that comes back with a reload takes the focus from nothing.
                  if (element && begun.current) {
                    begun.current = false;
                    element.focus();
                  }
                }}
                onInput={event => edit(event.currentTarget.value)} />
              {parsed === undefined && <div class="al-foot-note al-error">{t('This is not valid JSON yet.')}</div>}
              {/* A field shows such characters as nothing at all. */}
              {hides(edited) && <pre class="al-detail" tabIndex={0}><Visible text={edited} /></pre>}
            </div>
          )
          : commandName || changes.length === 0
            ? (
              <div class="al-command">
                {commandName
                  ? <pre tabIndex={0}><Visible text={original} /></pre>
                  : <InputTable input={request.input} skip={new Set(['description'])} />}
                <button type="button" class="al-button al-quiet" onClick={() => {
                  begun.current = true;
                  edit(original);
                }}>
                  <Icon name="edit" />{t('Edit')}
                </button>
              </div>
            )
            : null}
        {changes.map(block => <Diff block={block} />)}
        {commandName && <InputTable input={request.input} skip={new Set([commandName, 'description'])} />}
        {tool && runsInKernel(tool) && <Effects effects={request.effects} />}
        <div class="al-options">
          {request.options.map((option, index) => (
            <OptionButton option={option} index={index} disabled={answered} ready={ready} choose={() => answer(option)} />
          ))}
        </div>
        {tool && runsInKernel(tool) && edited === undefined && <RunTrial request={request} />}
        {request.options.some(option => option.kind.endsWith('always')) && (
          <div class="al-foot-note al-lasting">
            {t('What lasts can be seen and revoked:')}
            <button type="button" class="al-link" onClick={() => chat.showRules()}>{t('Permissions…')}</button>
          </div>
        )}
        {no && (
          <form class="al-tell" onSubmit={event => {
            event.preventDefault();
            if (tell.trim()) {
              answer(no, tell.trim());
            }
          }}>
            <input class="al-field" value={tell} aria-label={t('Tell it what to do instead')}
              placeholder={t('Tell it what to do instead')} onInput={event => setTell(event.currentTarget.value)} />
            <button type="submit" class="al-button" disabled={!tell.trim() || answered}>{t('Tell it')}</button>
          </form>
        )}
      </div>
    </AskFrame>
  );
}

const runsInKernel = ({ name }: ToolItem): boolean => /^mcp__agent_lab__run_(?:code|cell)$/.test(name);

/** What is asked, as a question; the agent's own words where the kind of tool says too little. */
function heading(request: PermissionRequest, tool: ToolItem | undefined): string {
  if (request.title.endsWith('?')) {
    return request.title;
  }
  switch (tool?.kind) {
    case 'execute':
      return field(request.input, 'command') ? t('Run a command?') : t('Run code?');
    case 'edit':
      return t('Change a file?');
    case 'delete':
      return t('Delete this?');
    case 'read':
      return t('Read this?');
    case 'fetch':
      return t('Fetch from the web?');
    default:
      return tool ? t('Use {name}?', { name: toolName(tool) }) : request.title;
  }
}

interface OptionProps {
  readonly option: PermissionOption;
  readonly index: number;
  readonly disabled: boolean;
  readonly ready: boolean;
  choose(): void;
}

export function OptionButton({ option, index, disabled, ready, choose }: OptionProps): JSX.Element {
  const rejects = option.kind.startsWith('reject');
  return (
    <button type="button" class="al-option" disabled={disabled} aria-disabled={!ready} aria-label={option.label.replaceAll('`', '')}
      aria-keyshortcuts={String(index + 1)} onClick={choose} {...(index === 0 ? { 'data-first': true } : {})}>
      <kbd aria-hidden="true">{index + 1}</kbd>
      <span>
        <span class="al-option-label"><Words text={option.label} /></span>
        {option.scope && <span class="al-option-scope"><Words text={option.scope} /></span>}
        {rejects && !option.scope && option.kind === 'reject_once' && (
          <span class="al-option-scope">{t('The agent is told and goes on.')} <kbd>{t('Esc')}</kbd> {t('does the same.')}</span>
        )}
      </span>
    </button>
  );
}

/** The edited input; undefined while it is not JSON. */
function readInput(text: string, input: Json, commandName: string | undefined): Json | undefined {
  if (commandName) {
    return { ...fieldsOf(input), [commandName]: text };
  }
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** A request in a few words, where only a line is free. */
export const requestLine = (request: PermissionRequest): string =>
  [request.title, firstLine(field(request.input, ...COMMAND))].filter(Boolean).join(': ');
