/**
 * One panel's live state: events from the socket into the fold, one redraw per frame, commands out.
 * It holds nothing that the log holds; only what this panel is about to say.
 */

import { chatPath, FIRST_TURNS } from '../begun.js';
import { decodeEvents } from '../protocol.js';
import type {
  AnswerCommand, Command, ContentBlock, ContextItem, Event, Session, SetCommand
} from '../protocol.js';
import { newId, Rejected, SessionSocket } from '../socket.js';
import type { SocketState } from '../socket.js';
import { Fold, textOf } from '../transcript.js';
import type { Transcript } from '../transcript.js';
import { AnswerDrafts } from './answerDrafts.js';
import { ComposerState } from './composerState.js';
import { forgetDeleted } from './forget.js';
import type { ChatHost } from './host.js';
import { speak, t } from './i18n.js';
import { keptOf } from './kept.js';
import type { Kept } from './kept.js';
import { Since } from './since.js';
import { statusWords } from './status.js';
import { now } from './ticking.js';

/** A prompt this panel has sent and that the log does not show yet. */
export interface Sending {
  readonly id: string;
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
  readonly time: string;
}

/** Something that went wrong here, not in the session: shown above the composer until it is closed. */
export interface Trouble {
  readonly reason: string;
  readonly message: string;
}

const PAGE = 500;
/** The part of a queued message's draft that holds its new words; `was` holds the old ones. */
export const QUEUED = 'queued';
/** The close code of a session that ended and was read to the end. */
const ENDED = 4410;
/** A hidden page gets no frames; its title and its announcements still have to be right. */
const HIDDEN_FRAME = 250;

export class Chat {
  readonly composer: ComposerState;
  /** What the next prompt is told by itself. */
  readonly happened: Since;
  readonly answers: AnswerDrafts;
  fold: Fold | undefined;
  connection: SocketState = { name: 'connecting' };
  /** Since when the connection is lost; 0 while it is not. */
  lostAt = 0;
  sending: readonly Sending[] = [];
  trouble: Trouble | undefined;
  stopping = false;
  /** Deleted by the person here, who may take it back. */
  removed = false;
  loadingOlder = false;
  hasOlder = false;
  rulesShown = false;
  /** Shows the session that the notebook has now, which is another. */
  showNewer: (() => void) | undefined;
  /** Words for the live region: the last thing that needs telling. */
  announcement = '';
  /** Grows with each frame that is drawn. */
  version = 0;

  /** What parts of the panel remember while they are off the page. */
  readonly kept: Kept;

  private socket: SessionSocket | undefined;
  private readonly arrived: Event[] = [];
  private scheduled = false;
  private disposed = false;
  private draw: () => void = () => undefined;
  /** When an event of now was seen here, by the item's id: the server's clock may differ. */
  private readonly seen = new Map<string, number>();
  private liveFrom = Infinity;
  /** The place of the log that is to come into sight; the conversation brings it there. */
  wanted: number | null = null;

  private posting = false;
  private restarting: Promise<void> | undefined;
  private told = '';
  private looking = false;
  private unlisten: (() => void) | undefined;

  constructor(readonly host: ChatHost) {
    speak(host);
    this.kept = keptOf(host.sessionId);
    this.composer = new ComposerState(host.sessionId, () => this.touch());
    this.happened = new Since(host, () => this.touch());
    this.answers = new AnswerDrafts(host.sessionId);
  }

  start(draw: () => void): void {
    this.draw = draw;
    forgetDeleted(this.host);
    this.socket = new SessionSocket(
      query => this.host.socketUrl(`${this.host.wsApi}${chatPath(this.host.sessionId, query)}`),
      {
        onHello: hello => {
          this.liveFrom = hello.last_seq;
          this.flush();
          if (this.fold) {
            this.fold.setSession(hello.session);
          } else {
            this.fold = new Fold(hello.session);
          }
          this.stopping = false;
          this.touch();
          if (this.looking) {
            // The server counts connections: this one is new to it.
            queueMicrotask(() => this.tellLook());
          }
        },
        onEvent: event => {
          this.arrived.push(event);
          this.touch();
        },
        onRestart: () => {
          this.fold = undefined;
          this.arrived.length = 0;
          this.touch();
        },
        onState: state => {
          this.connection = state;
          this.awaitRevival(state.name === 'closed' && state.code === ENDED);
          this.lostAt = state.name === 'lost' ? state.since : state.name === 'connecting' ? this.lostAt : 0;
          this.touch();
        }
      },
      FIRST_TURNS,
      this.host.begun,
      this.host.openWire?.bind(this.host)
    );
    this.frame(); // with what a socket that was begun before has heard
  }

  /** Whether a person sees this panel: what ends meanwhile is then no news. */
  look(visible: boolean): void {
    this.looking = visible;
    this.tellLook();
    this.host.onLook?.(visible);
  }

  private tellLook(): void {
    // Lost with the connection: it is told again with the next.
    void this.socket?.send({ type: 'look', visible: this.looking }).catch(() => undefined);
  }

  /** While the session is over: show it again when it was resumed elsewhere. */
  private awaitRevival(over: boolean): void {
    this.unlisten?.();
    this.unlisten = over
      ? this.host.changes?.listen({
          onChange: change => {
            if (change.type === 'session' && change.session.id === this.host.sessionId &&
                change.session.status !== 'ended') {
              this.reconnect();
            }
          }
        })
      : undefined;
  }

  dispose(): void {
    this.disposed = true;
    this.awaitRevival(false);
    this.socket?.dispose();
    this.composer.dispose();
  }

  get session(): Session | undefined {
    return this.fold?.transcript.session;
  }

  get transcript(): Transcript | undefined {
    return this.fold?.transcript;
  }

  /** A turn runs, or is about to: a prompt would be queued, and Stop has something to stop. */
  get busy(): boolean {
    const status = this.session?.status;
    return (
      this.sending.length > 0 || this.transcript?.turn != null ||
      status === 'running' || status === 'awaiting_permission' || status === 'cancelling'
    );
  }

  get quiet(): boolean {
    const { queue = [], pending_permissions = [] } = this.session ?? {};
    return this.composer.empty && !this.busy && queue.length + pending_permissions.length === 0;
  }

  /** Milliseconds since something began, by the clock of this machine where it was seen to begin. */
  since(id: string, iso: string): number {
    return Math.max(0, now() - (this.seen.get(id) ?? Date.parse(iso)));
  }

  // ------------------------------------------------------------ commands

  prompt(content: readonly ContentBlock[], context: readonly ContextItem[]): void {
    const id = newId();
    const time = new Date().toISOString();
    this.sending = [...this.sending, { id, content, context, time }];
    this.trouble = undefined;
    this.touch();
    this.composer.leaves(id, content, context);
    const command = { type: 'prompt', content, context, ...this.happened.leaves() } as const;
    // What is said while the agent starts anew is for the one that comes.
    const sent = this.restarting?.then(() => this.socket?.send(command, id)) ?? this.socket?.send(command, id);
    sent?.then(
      () => this.composer.arrived(id),
      (error: unknown) => {
        this.sending = this.sending.filter(each => each.id !== id);
        this.composer.arrived(id);
        this.composer.giveBack(content, context);
        this.fail(error);
      }
    );
  }

  stop(): void {
    if (!this.stopping) {
      this.stopping = true;
      void this.send({ type: 'cancel' }).finally(() => {
        if (!this.busy) {
          this.stopping = false;
        }
        this.touch();
      });
      this.touch();
    }
  }

  answer(answer: Omit<AnswerCommand, 'type'>): Promise<boolean> {
    return this.send({ type: 'answer_permission', ...answer });
  }

  set(change: Omit<SetCommand, 'type'>): void {
    void this.send({ type: 'set', ...change });
  }

  /** True when the server took it; else the trouble is shown. */
  send(command: Command): Promise<boolean> {
    const sent = this.socket?.send(command) ?? Promise.reject(new Rejected('closed', ''));
    return sent.then(
      () => true,
      (error: unknown) => {
        this.fail(error);
        return false;
      }
    );
  }

  /** `POST sessions/{id}/{what}`; a refusal is shown. */
  async post(what: 'resume' | 'end'): Promise<void> {
    if (this.posting) {
      return;
    }
    this.posting = true;
    const path = `${this.host.api}/sessions/${encodeURIComponent(this.host.sessionId)}/${what}`;
    try {
      const answer = await this.host.fetch(path, { method: 'POST', body: '{}' });
      if (!answer.ok) {
        const body = (await answer.json()) as { message?: string; reason?: string };
        this.fail(new Rejected(body.reason ?? 'failed', body.message ?? answer.statusText));
      } else if (this.connection.name === 'closed') {
        this.reconnect();
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.posting = false;
    }
  }

  /** Have the agent start anew, with what was decided since it started. */
  async restart(): Promise<void> {
    this.restarting ??= this.post('end').then(() => this.post('resume'));
    await this.restarting;
    this.restarting = undefined;
  }

  retryNow(): void {
    this.socket?.retryNow();
  }

  reconnect(): void {
    this.socket?.dispose();
    this.fold = undefined;
    this.arrived.length = 0;
    this.start(this.draw);
  }

  /** Shows the lasting permissions over the conversation, until they are closed. */
  showRules(): void {
    this.rulesShown = true;
    this.touch();
  }

  hideRules(): void {
    this.rulesShown = false;
    this.touch();
  }

  offer(show: () => void): void {
    this.showNewer = show;
    this.touch();
  }

  dismiss(): void {
    this.trouble = undefined;
    this.touch();
  }

  fail(error: unknown): void {
    this.trouble =
      error instanceof Rejected
        ? { reason: error.reason, message: error.message }
        : { reason: 'failed', message: error instanceof Error ? error.message : String(error) };
    this.touch();
  }

  /** Bring that place of the log into sight, reading back to it where that is needed. */
  showAt(seq: number): void {
    this.wanted = seq;
    this.touch();
  }

  /** True when the wanted place is among what is folded, or as near as the log comes to it. */
  get reachesWanted(): boolean {
    const first = this.transcript?.first_seq ?? 0;
    return this.wanted !== null && first > 0 && (first <= this.wanted || !this.hasOlder);
  }

  async loadOlder(): Promise<void> {
    const fold = this.fold;
    if (!fold || this.loadingOlder || !this.hasOlder) {
      return;
    }
    this.loadingOlder = true;
    this.touch();
    const { api, sessionId } = this.host;
    const before = fold.transcript.first_seq;
    const url = `${api}/sessions/${encodeURIComponent(sessionId)}/events?before=${before}&limit=${PAGE}`;
    try {
      const answer = await this.host.fetch(url);
      if (answer.ok) {
        const page = decodeEvents(await answer.json());
        if (this.fold === fold) {
          fold.prepend(page.events);
          this.hasOlder = page.more && page.events.length > 0;
        }
      } else {
        this.hasOlder = false;
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.loadingOlder = false;
      this.touch();
    }
  }

  // ------------------------------------------------------------ frames

  /** Something changed: draw in the next frame, together with all else that changes until then. */
  touch(): void {
    if (this.scheduled || this.disposed) {
      return;
    }
    this.scheduled = true;
    if (document.hidden) {
      setTimeout(() => this.frame(), HIDDEN_FRAME);
    } else {
      requestAnimationFrame(() => this.frame());
    }
  }

  private frame(): void {
    this.scheduled = false;
    if (this.disposed) {
      return;
    }
    this.flush();
    this.version += 1;
    this.draw();
    if (this.wanted !== null && this.transcript?.first_seq && !this.reachesWanted) {
      void this.loadOlder();
    }
    this.tellHost();
  }

  private flush(): void {
    const fold = this.fold;
    if (!fold) {
      return;
    }
    const wasEmpty = fold.transcript.first_seq === 0;
    for (const event of this.arrived) {
      fold.push(event);
      this.noticed(event);
    }
    this.arrived.length = 0;
    if (fold.transcript.last_seq >= this.liveFrom) {
      const { items, session } = fold.transcript;
      this.composer.takeBack(id =>
        session.queue.some(item => item.id === id) ||
        items.some(item => item.type === 'user_message' && item.id === id));
      this.giveBackEdited();
    }
    if (wasEmpty && fold.transcript.first_seq > 0) {
      this.hasOlder = fold.transcript.first_seq > 1;
    }
    if (this.sending.length) {
      // A `hello` says what is queued without an event.
      const queued = new Set(fold.transcript.session.queue.map(item => item.id));
      const left = this.sending.filter(each => !queued.has(each.id));
      if (left.length !== this.sending.length) {
        this.sending = left;
      }
    }
  }

  /** Sent, or taken out in another tab, while it was being changed: the words are not lost. */
  private giveBackEdited(): void {
    for (const id of this.answers.having(QUEUED)) {
      if (!this.session?.queue.some(item => item.id === id)) {
        const { [QUEUED]: text, was } = this.answers.get(id) ?? {};
        this.answers.drop(id);
        if (typeof text === 'string' && text.trim() && text.trim() !== was) {
          this.composer.giveBack([{ type: 'text', text: text.trim() }], []);
        }
      }
    }
  }

  private noticed(event: Event): void {
    const { body } = event;
    if (body.type === 'user_message') {
      this.sending = this.sending.filter(each => each.id !== body.message_id);
    }
    if (body.type === 'queue_updated') {
      // Also what another tab took out of the queue before this one drew it.
      const queued = new Set(body.items.map(item => item.id));
      this.sending = this.sending.filter(each => !queued.has(each.id));
    }
    if (body.type === 'permission_resolved') {
      this.answers.drop(body.request_id);
    }
    if (body.type === 'turn_ended') {
      this.stopping = false;
    }
    if (event.seq <= this.liveFrom) {
      return;
    }
    switch (body.type) {
      case 'turn_started':
        this.seen.clear();
        // The same words twice would not be told twice.
        this.announcement = '';
        this.seen.set(event.turn_id ?? '', Date.now());
        break;
      case 'tool_call':
        this.seen.set(body.tool_call_id, Date.now());
        break;
      case 'agent_thought_chunk':
        if (!this.seen.has(body.message_id)) {
          this.seen.set(body.message_id, Date.now());
        }
        break;
      case 'permission_request':
        this.seen.set(body.request_id, Date.now());
        this.announcement =
          body.kind === 'question' ? t('The agent asks: {title}', { title: body.title })
          : body.kind === 'plan' ? t('A plan waits for your review')
          : t('Permission needed: {title}', { title: body.title });
        break;
      case 'turn_ended':
        this.announcement =
          body.stop_reason === 'cancelled' ? t('Stopped')
          : body.error ? t('The turn failed: {message}', { message: body.error.message })
          : t('The agent has finished');
        break;
      default:
        break;
    }
  }

  private tellHost(): void {
    const session = this.session;
    if (session && this.host.onTitle) {
      const words = statusWords(this, false).text;
      const now = `${session.title}\n${words}`;
      if (now !== this.told) {
        this.told = now;
        this.host.onTitle(session.title, words);
      }
    }
  }

  /** What the person wrote in this session, newest first. */
  history(): string[] {
    const items = this.transcript?.items ?? [];
    const texts = items.flatMap(item =>
      item.type === 'user_message' ? [textOf(item.content)] : []
    );
    return texts.filter((text, i) => text && text !== texts[i + 1]).reverse();
  }
}
