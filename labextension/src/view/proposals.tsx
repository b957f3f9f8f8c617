/**
 * A session's proposed cell changes for a notebook beside the chat, or without one: the same requests of
 * the same log, answered through the same socket. What one place answers is gone from all.
 */

import { render } from 'preact';
import type { JSX } from 'preact';
import { chatPath } from '../begun.js';
import type { CellChange, Event, PermissionRequest, Session } from '../protocol.js';
import { Rejected, SessionSocket } from '../socket.js';
import { foldSession } from '../transcript.js';
import { AnswerDrafts } from './answerDrafts.js';
import { acceptance, tryOut, useChangeForm } from './cellChange.js';
import type { Answer } from './cellChange.js';
import { changeTitle } from './cellChangeWords.js';
import type { CellName } from './cellChangeWords.js';
import { speak } from './i18n.js';
import type { Translator } from './i18n.js';
import { Icon } from './icons.js';
import type { Requester } from './request.js';
import { install } from './style.js';
import { Visible } from './text.js';

export interface ProposalsHost extends Requester, Translator {
  readonly wsApi: string;
  readonly sessionId: string;
  /** The address to open for a WebSocket URL under `wsApi`. */
  socketUrl(path: string): string;
  readonly name: CellName;
  /** Something else waits, or more is known of it. */
  onChange(): void;
  /** An answer was refused; the sentence of the server. */
  onTrouble(message: string): void;
}

/** What waits in one session. */
export interface Proposals {
  readonly waiting: readonly Proposal[];
  /** False until the log has told what waits. */
  readonly known: boolean;
  readonly notebook: string | null;
  readonly sessionId: string;
  accept(id: string): void;
  /** Draws a proposal; again with each call. */
  draw(root: HTMLElement, id: string): void;
  erase(root: HTMLElement): void;
  dispose(): void;
}

export interface Proposal {
  readonly id: string;
  readonly change: CellChange;
}

class Feed implements Proposals {
  private session: Session | undefined;
  private readonly drafts: AnswerDrafts;
  private readonly socket: SessionSocket;
  private readonly drawn = new Map<HTMLElement, () => void>();
  private scheduled = false;
  private gone = false;

  constructor(private readonly host: ProposalsHost) {
    speak(host);
    this.drafts = new AnswerDrafts(host.sessionId);
    this.socket = new SessionSocket(query => host.socketUrl(host.wsApi + chatPath(host.sessionId, query)), {
      onHello: hello => {
        this.session = hello.session;
        this.touch();
      },
      onEvent: event => this.push(event),
      onRestart: () => undefined,
      onState: () => undefined
    }, 1);
  }

  get known(): boolean {
    return this.session !== undefined;
  }

  get sessionId(): string {
    return this.host.sessionId;
  }

  get notebook(): string | null {
    return this.session?.notebook?.path ?? null;
  }

  get waiting(): readonly Proposal[] {
    return this.requests.map(each => ({ id: each.request_id, change: each.change! }));
  }

  accept(id: string): void {
    const request = this.find(id);
    if (request) {
      void this.answer(acceptance(request, this.drafts));
    }
  }

  draw(root: HTMLElement, id: string): void {
    const request = this.find(id);
    if (!request) {
      return;
    }
    if (!this.drawn.has(root)) {
      root.classList.add('al-root', 'al-at-cell');
      this.drawn.set(root, install(root));
    }
    render(
      <div class="al">
        <AtCell request={request} title={changeTitle(request, this.host.name)} drafts={this.drafts}
          answer={given => this.answer(given)}
          tryIt={source => tryOut(this.host, this.host.sessionId, request.request_id, source)} />
      </div>,
      root
    );
  }

  erase(root: HTMLElement): void {
    render(null, root);
    this.drawn.get(root)?.();
    this.drawn.delete(root);
  }

  dispose(): void {
    this.gone = true;
    this.socket.dispose();
    [...this.drawn.keys()].forEach(root => this.erase(root));
  }

  private get requests(): readonly PermissionRequest[] {
    return this.session?.pending_permissions.filter(each => each.change !== null) ?? [];
  }

  private find(id: string): PermissionRequest | undefined {
    return this.requests.find(each => each.request_id === id);
  }

  private async answer(answer: Answer): Promise<boolean> {
    try {
      await this.socket.send({ type: 'answer_permission', ...answer });
      return true;
    } catch (error) {
      // Somebody was first, or all is answered and this feed was ended before it heard so: it is settled either way.
      if (!this.gone && !(error instanceof Rejected && error.reason === 'already_resolved')) {
        this.host.onTrouble(error instanceof Error ? error.message : String(error));
      }
      return false;
    }
  }

  private push(event: Event): void {
    // What lies before the `hello` is in its session already.
    if (!this.session || event.seq <= this.session.last_seq) {
      return;
    }
    const before = this.session.pending_permissions;
    this.session = foldSession(this.session, event);
    if (event.body.type === 'permission_resolved') {
      this.drafts.drop(event.body.request_id);
    }
    if (before !== this.session.pending_permissions) {
      this.touch();
    }
  }

  /** What changes together is told together. */
  private touch(): void {
    if (!this.scheduled) {
      this.scheduled = true;
      queueMicrotask(() => {
        this.scheduled = false;
        if (!this.gone) {
          this.host.onChange();
        }
      });
    }
  }
}

interface AtCellProps {
  readonly request: PermissionRequest;
  readonly title: string;
  readonly drafts: AnswerDrafts;
  answer(answer: Answer): Promise<boolean>;
  tryIt(source?: string): Promise<unknown>;
}

function AtCell({ title, ...props }: AtCellProps): JSX.Element {
  const { body, onKey } = useChangeForm(props);
  return (
    <div class="al-ask" role="group" aria-label={title} onKeyDown={onKey}>
      <div class="al-ask-head"><Icon name="edit" /><span class="al-strong"><Visible text={title} /></span></div>
      {body}
    </div>
  );
}

/** Follows what waits in a session until it is disposed of. */
export const followProposals = (host: ProposalsHost): Proposals => new Feed(host);
