/**
 * The WebSocket of all sessions: which of them changed. One for a page, shared by its list and its
 * notifications; open while somebody listens. Knows no view.
 */

import type { CostSource, PermissionOption, Status } from './protocol.js';

/** A question that waits, with the answers that need no form. */
export interface BriefPermission {
  readonly request_id: string;
  readonly kind: 'tool' | 'question' | 'plan' | 'cell_change';
  readonly title: string;
  readonly options: readonly PermissionOption[];
}

/** A session as a list shows it. */
export interface Brief {
  readonly id: string;
  readonly title: string;
  readonly agent: string;
  readonly model: string | null;
  readonly status: Status;
  readonly status_reason: string | null;
  readonly unseen: boolean;
  readonly path: string;
  readonly cwd: string;
  readonly notebook: string | null;
  readonly cost_usd: number | null;
  readonly cost_source: CostSource;
  readonly parent_id: string | null;
  readonly pending_permissions: readonly BriefPermission[];
  readonly updated_at: string;
}

export type Change =
  | { readonly type: 'session'; readonly session: Brief }
  | { readonly type: 'deleted'; readonly id: string };

export interface ChangesListener {
  onChange(change: Change): void;
  /** Changes come from now on; what changed before has to be read. `again`: some may have been missed. */
  onOpen?(again: boolean): void;
  /** `signedOut`: it does not come back by itself. */
  onLost?(signedOut: boolean): void;
}

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
/** Something is sent this often: a connection that died silently ends at the next try to use it. */
const KEEP_ALIVE = 25_000;
/** It will not try again: not signed in, or not allowed. */
const FINAL = new Set([4401, 4403]);

export class Changes {
  private readonly listeners = new Set<ChangesListener>();
  private socket: WebSocket | undefined;
  private opened = false;
  private before = false;
  private delay = FIRST_DELAY;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private alive: ReturnType<typeof setInterval> | undefined;
  private gone: AbortController | undefined;

  /** `url` gives the address to open. */
  constructor(private readonly url: () => string) {}

  /** Returns what ends it. */
  listen(listener: ChangesListener): () => void {
    this.listeners.add(listener);
    if (this.listeners.size === 1) {
      this.start();
    } else if (this.opened) {
      listener.onOpen?.(false);
    }
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) {
        this.stop();
      }
    };
  }

  private start(): void {
    this.gone = new AbortController();
    const { signal } = this.gone;
    const now = (): void => {
      if (this.retry !== undefined && !document.hidden) {
        clearTimeout(this.retry);
        this.connect();
      }
    };
    window.addEventListener('online', now, { signal });
    document.addEventListener('visibilitychange', now, { signal });
    this.connect();
  }

  private stop(): void {
    this.gone?.abort();
    clearTimeout(this.retry);
    clearInterval(this.alive);
    this.retry = undefined;
    this.opened = this.before = false;
    this.delay = FIRST_DELAY;
    const { socket } = this;
    this.socket = undefined;
    socket?.close(1000);
  }

  private connect(): void {
    this.retry = undefined;
    const socket = new WebSocket(this.url());
    this.socket = socket;
    socket.addEventListener('message', message => {
      if (socket === this.socket) {
        this.receive(String(message.data));
      }
    });
    socket.addEventListener('close', close => {
      if (socket === this.socket) {
        this.closed(close.code);
      }
    });
  }

  private receive(text: string): void {
    const frame = read(text);
    if (frame === 'hello') {
      this.opened = true;
      this.delay = FIRST_DELAY;
      clearInterval(this.alive);
      this.alive = setInterval(() => {
        if (this.socket?.readyState === WebSocket.OPEN) {
          this.socket.send('{}');
        }
      }, KEEP_ALIVE);
      const again = this.before;
      this.before = true;
      this.listeners.forEach(each => each.onOpen?.(again));
    } else if (frame) {
      this.listeners.forEach(each => each.onChange(frame));
    }
  }

  private closed(code: number): void {
    this.socket = undefined;
    clearInterval(this.alive);
    const final = FINAL.has(code);
    if (this.opened || final) {
      this.opened = false;
      this.listeners.forEach(each => each.onLost?.(final));
    }
    if (!final) {
      this.retry = setTimeout(() => this.connect(), this.delay * (0.75 + Math.random() / 2));
      this.delay = Math.min(this.delay * 2, LONGEST_DELAY);
    }
  }
}

function read(text: string): Change | 'hello' | undefined {
  let frame: { type?: unknown; id?: unknown; session?: { id?: unknown } } | null;
  try {
    frame = JSON.parse(text) as typeof frame;
  } catch {
    return undefined;
  }
  switch (frame?.type) {
    case 'hello':
      return 'hello';
    case 'session':
      return typeof frame.session?.id === 'string' ? (frame as Change) : undefined;
    case 'deleted':
      return typeof frame.id === 'string' ? (frame as Change) : undefined;
    default:
      return undefined;
  }
}
