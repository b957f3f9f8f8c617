/** An agent's change of a cell: proposed with its diff, its effects and a trial; answered; then one quiet line. */

import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { AnswerCommand, CellChange, PermissionOption, PermissionRequest } from '../protocol.js';
import type { PermissionItem, ToolItem } from '../transcript.js';
import type { AnswerDrafts } from './answerDrafts.js';
import { changeLines, changeName, changeTitle, doneChange, editedInput, isEditable, isTriable } from './cellChangeWords.js';
import type { CellName } from './cellChangeWords.js';
import { useChat } from './context.js';
import { DiffLines, FIRST, FirstLines } from './diff.js';
import { diffLines } from './diffLines.js';
import { Effects } from './effects.js';
import { firstLine } from './format.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import { AskFrame, OptionButton, rejection, Told, useReady } from './permission.js';
import { Refused, request as send } from './request.js';
import type { Requester } from './request.js';
import { hides, Visible } from './text.js';
import { TrialView } from './trialView.js';
import { undoable } from './undoable.js';

const EDITED = 'source';

export type Answer = Omit<AnswerCommand, 'type'>;

/** `source`: the person's version, undefined: the proposed one. Raises Refused, with the server's words. */
export const tryOut = (host: Requester, sessionId: string, requestId: string, source?: string): Promise<unknown> =>
  send(host, 'POST', `sessions/${encodeURIComponent(sessionId)}/permissions/${encodeURIComponent(requestId)}/trial`,
    source === undefined ? {} : { source });

export interface FormProps {
  readonly request: PermissionRequest;
  /** What the person has begun to write: kept by the tab. */
  readonly drafts: AnswerDrafts;
  /** True when the server took it. */
  answer(answer: Answer): Promise<boolean>;
  /** `source`: what stands in the editor. */
  tryIt(source?: string): Promise<unknown>;
  stop?(): void;
}

interface Form {
  readonly body: JSX.Element;
  onKey(event: KeyboardEvent): void;
}

/** What a proposal shows and how it is answered, wherever it stands. */
export function useChangeForm({ request, drafts, answer, tryIt, stop }: FormProps): Form {
  const id = request.request_id;
  const kept = drafts.get(id);
  const [edited, setEdited] = useState<string | undefined>(() => kept?.[EDITED] as string | undefined);
  const [tell, setTell] = useState(() => (kept?.['tell'] as string | undefined) ?? '');
  const [telling, setTelling] = useState(() => kept?.['silent'] !== true);
  const [answered, setAnswered] = useState(false);
  const begun = useRef(false);
  // Effects that come late move the buttons: what was meant for another place is not taken then.
  const ready = useReady(request.effects);
  const change = request.change!;
  const no = rejection(request);
  const yes = request.options.find(option => option.kind === 'allow_once');
  const edit = (source: string | undefined): void => {
    drafts.set(id, EDITED, source);
    setEdited(source);
  };
  const write = (words: string): void => {
    drafts.set(id, 'tell', words || undefined);
    setTell(words);
  };
  const { trial } = request;
  const tried = trial?.status === 'done';
  const mine = edited === undefined || edited === change.new_source ? null : edited;
  const choose = (option: PermissionOption, message?: string): void => {
    if (answered || !ready) {
      return;
    }
    setAnswered(true);
    const allows = option.kind.startsWith('allow');
    void answer({
      request_id: id, option_id: option.option_id,
      ...(message ? { message } : {}), ...(allows ? editedInput(change, edited) : {}),
      ...(!allows && tried && telling ? { trial: true } : {})
    }).then(ok => setAnswered(ok));
  };
  const onKey = (event: KeyboardEvent): void => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    const option = request.options[Number(event.key) - 1];
    const bare = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === 'Escape' && !event.defaultPrevented) {
      event.preventDefault();
      if (edited !== undefined && typing) {
        edit(undefined);
      } else if (typing && tell) {
        write('');
      } else if (no) {
        choose(no);
      } else if (ready) {
        stop?.();
      }
    } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && edited !== undefined && yes) {
      event.preventDefault();
      choose(yes);
    } else if (!typing && /^[1-9]$/.test(event.key) && option && bare) {
      event.preventDefault();
      choose(option);
    } else if (!typing && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      const options = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.al-option')];
      const now = options.indexOf(document.activeElement as HTMLElement);
      options[(now + (event.key === 'ArrowDown' ? 1 : -1) + options.length) % options.length]?.focus();
    }
  };
  const body = (
    <div class="al-ask-body">
      {edited === undefined
        ? <CellDiff change={change} />
        : (
          <div>
            <textarea class="al-edit" value={edited} rows={Math.min(16, edited.split('\n').length + 1)}
              aria-label={t('New source of the cell')} spellcheck={false}
              ref={element => {
                // One that comes back with a reload takes the focus from nothing.
                if (element && begun.current) {
                  begun.current = false;
                  element.focus();
                }
              }}
              onInput={event => edit(event.currentTarget.value)} />
            {/* A field shows such characters as nothing at all. */}
            {hides(edited) && <pre class="al-detail" tabIndex={0}><Visible text={edited} /></pre>}
            <div class="al-foot-note">
              <span>{t('Accept takes what stands here.')}</span>
              <button type="button" class="al-link" onClick={() => edit(undefined)}>{t('As it was proposed')}</button>
            </div>
            <DiffLines lines={diffLines(change.old_source, edited).slice(0, FIRST)} label={t('Change')} />
          </div>
        )}
      {isTriable(change) && edited === undefined && <Effects effects={request.effects} />}
      <div class="al-options">
        {request.options.map((option, index) => (
          <OptionButton option={option} index={index} disabled={answered} ready={ready} choose={() => choose(option)} />
        ))}
      </div>
      <div class="al-change-more">
        {isEditable(change) && edited === undefined && (
          <button type="button" class="al-button" disabled={answered} onClick={() => {
            begun.current = true;
            edit(change.new_source ?? '');
          }}>
            <Icon name="edit" />{t('Edit…')}
          </button>
        )}
        {isTriable(change) && <TryButton request={request} tryIt={() => tryIt(mine ?? undefined)} mine={mine !== null} />}
      </div>
      {no && (
        <form class="al-tell" onSubmit={event => {
          event.preventDefault();
          if (tell.trim()) {
            choose(no, tell.trim());
          }
        }}>
          <input class="al-field" value={tell} aria-label={t('Reject and tell it why')}
            placeholder={t('Reject and tell it why')} onInput={event => write(event.currentTarget.value)} />
          <button type="submit" class="al-button" disabled={!tell.trim() || answered}>{t('Tell it')}</button>
        </form>
      )}
      {no && tried && (
        <label class="al-choice al-telling">
          <input type="checkbox" checked={telling} onChange={event => {
            const { checked } = event.currentTarget;
            drafts.set(id, 'silent', checked ? undefined : true);
            setTelling(checked);
          }} />
          <span>{t('If you reject it, tell the agent what the trial showed')}</span>
        </label>
      )}
      {trial && (
        <>
          {trial.status !== 'running' && trial.source !== mine && (
            <p class="al-trial-line al-muted">
              <Icon name="info" />
              {trial.source === null ? t('This was tried with the version that was proposed.') : t('This was tried with another version of yours.')}
            </p>
          )}
          <TrialView trial={trial} instead={t('You can accept it, run it, and undo it if it is not better.')} />
        </>
      )}
    </div>
  );
  return { body, onKey };
}

interface TryProps {
  readonly request: PermissionRequest;
  /** It is the person's own version that would be tried. */
  readonly mine?: boolean;
  tryIt(): Promise<unknown>;
}

/** Starts a trial; why it could not be started is said beside it. */
export function TryButton({ request, mine, tryIt }: TryProps): JSX.Element {
  const [asked, ask] = useState(false);
  const [trouble, tell] = useState('');
  const runs = asked || request.trial?.status === 'running';
  return (
    <>
      <button type="button" class="al-button" aria-disabled={runs} title={t('Run it in a copy of the kernel, which stays as it is')}
        onClick={() => {
          if (!runs) {
            ask(true);
            tell('');
            tryIt()
              .catch((error: unknown) => tell(error instanceof Error ? error.message : String(error)))
              .finally(() => ask(false));
          }
        }}>
        <Icon name="run" />{mine ? t('Try your version') : request.trial && !runs ? t('Try again') : t('Try')}
      </button>
      {trouble && <span class="al-error" role="alert"><Visible text={trouble} /></span>}
    </>
  );
}

/** The lines of a change, as coloured lines that also say − and +. */
export function CellDiff({ change }: { change: CellChange }): JSX.Element {
  const [most, show] = useState(FIRST);
  const lines = useMemo(() => changeLines(change), [change]);
  return (
    <div class="al-diff-box">
      <FirstLines lines={lines} most={most} show={show} />
    </div>
  );
}

function useCellName(): CellName {
  const { openCells } = useChat().host;
  return (notebook, cell) => openCells?.name(notebook, cell);
}

/** In the conversation, while it waits. */
export function ChangeCard({ item }: { item: PermissionItem }): JSX.Element {
  const chat = useChat();
  const { request } = item;
  const name = useCellName();
  const form = useChangeForm({
    request,
    drafts: chat.answers,
    answer: given => {
      const sent = chat.answer(given);
      chat.composer.focus();
      return sent;
    },
    tryIt: source => tryOut(chat.host, chat.host.sessionId, request.request_id, source),
    stop: () => chat.stop()
  });
  return (
    <AskFrame item={item} icon="edit" title={changeTitle(request, name)} sub={placeOf(request.change!)} onKey={form.onKey}>
      {form.body}
    </AskFrame>
  );
}

/** Several proposals wait: one button for all of them. */
export function WaitingChanges({ waiting }: { waiting: readonly PermissionRequest[] }): JSX.Element {
  const chat = useChat();
  // Asked anew with each one that comes: nobody accepts what came under the pointer.
  const ready = useReady(waiting.map(each => each.request_id).join());
  return (
    <div class="al-waiting-changes">
      <span>{tn('{n} cell change waits for you', '{n} cell changes wait for you', waiting.length)}</span>
      <button type="button" class="al-button" aria-disabled={!ready}
        onClick={() => ready && waiting.forEach(each => void chat.answer(acceptance(each, chat.answers)))}>
        <Icon name="check" />{t('Accept all ({n})', { n: waiting.length })}
      </button>
    </div>
  );
}

/** The answer that takes a proposal as it stands, with what the person has edited. */
export function acceptance(request: PermissionRequest, drafts: AnswerDrafts): Answer {
  const option = request.options.find(each => each.kind === 'allow_once');
  const edited = drafts.get(request.request_id)?.[EDITED] as string | undefined;
  return {
    request_id: request.request_id, option_id: option?.option_id ?? '',
    ...(request.change ? editedInput(request.change, edited) : {})
  };
}

const placeOf = ({ notebook, cell_type }: CellChange): string =>
  cell_type === 'code' ? notebook : `${notebook} · ${cell_type}`;

/** What became of a proposal; open, the change. */
export function ChangeLine({ item, call }: { item: PermissionItem; call: ToolItem | undefined }): JSX.Element {
  const { request } = item;
  const [open, set] = useKept<boolean>(`open:${item.id}`, false);
  const name = useCellName();
  const chosen = request.options.find(option => option.option_id === item.option_id);
  const accepted = item.outcome === 'selected' && chosen?.kind.startsWith('allow') === true;
  const change = (accepted && call && doneChange(call.content)) || request.change!;
  const failed = accepted && call?.status === 'failed';
  const lines = useMemo(() => changeLines(change), [change]);
  const count = (sign: string): number => lines.filter(line => line.sign === sign).length;
  const words =
    item.outcome !== 'selected' ? t('not answered')
    : !accepted ? t('rejected')
    : failed ? t('accepted, but not done')
    : change.new_source !== request.change!.new_source ? t('accepted as you edited it')
    : t('accepted');
  const why = failed ? call.content.map(block => (block.type === 'text' ? block.text : '')).filter(Boolean).join('\n') : '';
  const title = changeName(request, name);
  return (
    <>
      <div class="al-change-line">
        <Line label={t('Proposal: {title}', { title })} icon="edit" name={title} target={words} prose open={open} toggle={() => set(!open)} card
          meta={<><span class="al-plus">+{count('+')}</span> <span class="al-minus">−{count('−')}</span></>}>
          <div class="al-card-body"><CellDiff change={change} /></div>
        </Line>
        {accepted && call?.status === 'completed' && <UndoChange change={change} call={call.id} />}
      </div>
      {why && <div class="al-told al-error"><Icon name="warning" /><span><Visible text={firstLine(why)} /></span></div>}
      <Told item={item} />
    </>
  );
}

/** A change inside a tool's card; `done`: it stands in the notebook. */
export function CellChangeView({ change, call, done }: { change: CellChange; call: string; done: boolean }): JSX.Element {
  return (
    <>
      <CellDiff change={change} />
      {done && <UndoChange change={change} call={call} />}
    </>
  );
}

/**
 * There as long as the cell still is what the change made of it. Where the notebook is not open in this
 * page, the server looks, once it is pressed.
 */
function UndoChange({ change, call }: { change: CellChange; call: string }): JSX.Element {
  const { host } = useChat();
  const { openCells } = host;
  const [can, set] = useState(() => openCells?.canUndo(change));
  const [gone, setGone] = useKept<boolean>(`undone:${call}`, false);
  const [trouble, tell] = useState('');
  const [asked, ask] = useState(false);
  useEffect(() => {
    const look = (): void => set(openCells?.canUndo(change));
    look();
    return openCells?.watch(look);
  }, [openCells, change]);
  const far = can === undefined;
  const much = can ?? (gone ? 'no' : undoable(change));
  const undo = (): void => {
    if (!far) {
      set(openCells?.undo(change) === false ? can : 'no');
      return;
    }
    ask(true);
    tell('');
    send(host, 'POST', `sessions/${encodeURIComponent(host.sessionId)}/changes/${encodeURIComponent(call)}/undo`, {})
      .then(() => setGone(true))
      .catch((error: unknown) => {
        tell(error instanceof Error ? error.message : String(error));
        setGone(error instanceof Refused && error.reason === 'cell_changed');
      })
      .finally(() => ask(false));
  };
  return (
    <>
      {much !== 'no' && (
        <button type="button" class="al-button al-quiet al-take-back" disabled={asked} onClick={undo}
          title={much === 'whole' ? t('Put the cell back as it was') : t('Put the cell back, without its outputs')}>
          <Icon name="back" />{t('Undo')}
        </button>
      )}
      {far && trouble && <div class="al-not-undone al-error" role="alert"><Icon name="warning" /><span><Visible text={trouble} /></span></div>}
    </>
  );
}

/** A trial of code that asks for a permission to run; below the answers, which it must not move. */
export function RunTrial({ request }: { request: PermissionRequest }): JSX.Element {
  const { host } = useChat();
  return (
    <>
      <div class="al-change-more">
        <TryButton request={request} tryIt={() => tryOut(host, host.sessionId, request.request_id)} />
      </div>
      {request.trial && <TrialView trial={request.trial} />}
    </>
  );
}
