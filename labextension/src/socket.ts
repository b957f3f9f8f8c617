/**
 * One session's WebSocket: connects, resumes after the last event it saw, backs off, sends commands.
 * Knows no view; the caller says how URLs are opened.
 */

import { FIRST_TURNS } from './begun.js';
import type { BegunSocket } from './begun.js';
import { parseFrame } from './protocol.js';
import type { Command, Event, Hello } from './protocol.js';

export type SocketState =
  | { readonly name: 'connecting' }
  | { readonly name: 'open' }
  /** `retryAt`: when it tries again by itself, in `Date.now()` milliseconds. */
  | { readonly name: 'lost'; readonly retryAt: number; readonly since: number }
  /** It will not try again: not signed in, not allowed, gone, or ended and read to the end. */
  | { readonly name: 'closed'; readonly code: number };

/** The part of a WebSocket that a session needs: a host may have messages of another kind carry it. */
export interface Wire {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'message', listener: (message: { readonly data: unknown }) => void, options: { signal: AbortSignal }
  ): void;
  addEventListener(
    type: 'close', listener: (close: { readonly code: number }) => void, options: { signal: AbortSignal }
  ): void;
}

export interface SocketListener {
  onHello(hello: Hello): void;
  onEvent(event: Event): void;
  onState(state: SocketState): void;
  /** Forget everything: the session is read anew from its tail. */
  onRestart(): void;
}

/** A command that was refused, with the server's stable reason and its sentence. */
export class Rejected extends Error {
  constructor(readonly reason: string, message: string) {
    super(message);
  }
}

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
/** Longer than any answer of a healthy server takes; the ping finds a connection that died silently. */
const PING_EVERY = 25_000;
const PONG_WITHIN = 10_000;
const FINAL = new Set([4401, 4403, 4404, 4410]);
const TOO_SLOW = 4429;
/** The server's log ends before what was seen here: what is shown is no longer what is true. */
const BEYOND_THE_LOG = 4400;

interface Sent {
  readonly command: Command;
  resolve(): void;
  reject(error: Rejected): void;
}

/** Unique enough to name a command; works on pages that are not a secure context too. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

export class SessionSocket {
  private socket: Wire | undefined;
  private lastSeq = 0;
  private delay = FIRST_DELAY;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private pinging: ReturnType<typeof setInterval> | undefined;
  private pong: ReturnType<typeof setTimeout> | undefined;
  private lostSince = 0;
  private open = false;
  private readonly sent = new Map<string, Sent>();
  private readonly gone = new AbortController();

  /**
   * `url(query)` gives the address of the session's `chat` WebSocket with this query; `begun` is one that
   * was opened for its first turns already.
   */
  constructor(
    private readonly url: (query: string) => string,
    private readonly listener: SocketListener,
    private readonly tail = FIRST_TURNS,
    private readonly begun?: BegunSocket,
    private readonly openWire: (url: string) => Wire = url => new WebSocket(url)
  ) {
    const { signal } = this.gone;
    window.addEventListener('online', () => this.retryNow(), { signal });
    document.addEventListener(
      'visibilitychange',
      () => {
        if (!document.hidden) {
          this.retryNow();
        }
      },
      { signal }
    );
    this.connect();
  }

  /** Resolves when the server took the command. A prompt survives a reconnect; others do not. */
  send(command: Command, id: string = newId()): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.open && command.type !== 'prompt') {
        reject(new Rejected('connection_lost', 'The connection to the server is lost.'));
        return;
      }
      this.sent.set(id, { command, resolve, reject });
      if (this.open) {
        this.write(id, command);
      }
    });
  }

  /** Try again at once, if waiting to try. */
  retryNow(): void {
    if (this.retry !== undefined) {
      clearTimeout(this.retry);
      this.retry = undefined;
      this.connect();
    }
  }

  dispose(): void {
    this.gone.abort();
    clearTimeout(this.retry);
    this.quiet();
    this.socket?.close(1000);
    for (const sent of this.sent.values()) {
      sent.reject(new Rejected('closed', 'The panel was closed.'));
    }
    this.sent.clear();
  }

  private connect(): void {
    if (this.gone.signal.aborted) {
      return;
    }
    this.listener.onState({ name: 'connecting' });
    const query = this.lastSeq ? `after=${this.lastSeq}` : `tail=${this.tail}`;
    const begun = this.lastSeq ? undefined : this.begun?.take();
    const socket: Wire = begun?.socket ?? this.openWire(this.url(query));
    const { signal } = this.gone;
    this.socket = socket;
    socket.addEventListener(
      'message',
      message => {
        // One given up for dead may still have something to say, which its successor says too.
        if (socket === this.socket) {
          this.receive(String(message.data));
        }
      },
      { signal }
    );
    socket.addEventListener('close', close => this.closed(socket, close.code), { signal });
    begun?.heard.forEach(text => this.receive(text));
  }

  private receive(text: string): void {
    clearTimeout(this.pong);
    const frame = parseFrame(text);
    switch (frame.type) {
      case 'hello':
        this.open = true;
        this.delay = FIRST_DELAY;
        this.lostSince = 0;
        this.listener.onHello(frame);
        this.listener.onState({ name: 'open' });
        this.sent.forEach((sent, id) => this.write(id, sent.command));
        this.keepAlive();
        break;
      case 'ack':
        this.sent.get(frame.id)?.resolve();
        this.sent.delete(frame.id);
        break;
      case 'reject':
        this.sent.get(frame.id)?.reject(new Rejected(frame.reason, frame.message));
        this.sent.delete(frame.id);
        break;
      case 'event':
        this.lastSeq = Math.max(this.lastSeq, frame.event.seq);
        this.listener.onEvent(frame.event);
        break;
      case 'bad':
        // A frame that cannot be read may have held an event: only reading again from the last one
        // that could be read keeps the view equal to the log.
        this.socket?.close(4000, 'unreadable frame');
        break;
    }
  }

  private closed(socket: Wire, code: number): void {
    if (socket !== this.socket) {
      return;
    }
    this.quiet();
    this.socket = undefined;
    this.open = false;
    for (const [id, sent] of this.sent) {
      if (sent.command.type !== 'prompt' || FINAL.has(code)) {
        this.sent.delete(id);
        sent.reject(new Rejected('connection_lost', 'The connection to the server is lost.'));
      }
    }
    if (FINAL.has(code)) {
      this.listener.onState({ name: 'closed', code });
      return;
    }
    const restart = code === BEYOND_THE_LOG && this.lastSeq > 0;
    if (restart) {
      this.lastSeq = 0;
      this.listener.onRestart();
    }
    const wait = code === TOO_SLOW || restart ? 0 : this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY);
    this.lostSince ||= Date.now();
    if (wait > 0) {
      this.listener.onState({ name: 'lost', retryAt: Date.now() + wait, since: this.lostSince });
    }
    this.retry = setTimeout(() => {
      this.retry = undefined;
      this.connect();
    }, wait);
  }

  private write(id: string, command: Command): void {
    this.socket?.send(JSON.stringify({ ...command, id }));
  }

  private keepAlive(): void {
    clearInterval(this.pinging);
    this.pinging = setInterval(() => {
      const socket = this.socket;
      if (socket?.readyState !== WebSocket.OPEN) {
        return;
      }
      this.write(newId(), { type: 'ping' });
      clearTimeout(this.pong);
      this.pong = setTimeout(() => {
        this.closed(socket, 4000);
        socket.close(4000, 'no answer');
      }, PONG_WITHIN);
    }, PING_EVERY);
  }

  private quiet(): void {
    clearInterval(this.pinging);
    clearTimeout(this.pong);
  }
}
