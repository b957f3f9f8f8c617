/**
 * A WebSocket that is opened before there is anybody to read it: what comes meanwhile is kept for who
 * takes it. For pages that know early what they will show.
 */

/** Nobody came for it. */
const UNWANTED_AFTER = 15_000;

export class BegunSocket {
  private heard: string[] = [];
  private readonly socket: WebSocket;
  private readonly timer: ReturnType<typeof setTimeout>;
  private taken = false;

  constructor(url: string) {
    this.socket = new WebSocket(url);
    this.socket.addEventListener('message', this.keep);
    this.timer = setTimeout(() => this.drop(), UNWANTED_AFTER);
  }

  /** It can still be taken. */
  get waits(): boolean {
    return !this.taken && this.socket.readyState <= WebSocket.OPEN;
  }

  /** The socket and what it has heard, once; undefined where it has ended by now. */
  take(): { readonly socket: WebSocket; readonly heard: readonly string[] } | undefined {
    if (!this.waits) {
      return undefined;
    }
    this.taken = true;
    clearTimeout(this.timer);
    this.socket.removeEventListener('message', this.keep);
    return { socket: this.socket, heard: this.heard };
  }

  drop(): void {
    if (!this.taken) {
      this.taken = true;
      clearTimeout(this.timer);
      this.heard = [];
      this.socket.close(1000);
    }
  }

  private readonly keep = (message: MessageEvent): void => {
    this.heard.push(String(message.data));
  };
}

/** How many turns a panel is given at first. */
export const FIRST_TURNS = 20;

/** The address of a session's WebSocket below `wsApi`. */
export const chatPath = (id: string, query: string): string => `/sessions/${encodeURIComponent(id)}/chat?${query}`;
