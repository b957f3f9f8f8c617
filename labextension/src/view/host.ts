/** What the panel asks of the page it lives in, and what the page may ask of the panel. */

import type { ContextItem } from '../protocol.js';

export interface ChatHost {
  /** Absolute URL of `{base_url}agent-lab/api`. */
  readonly api: string;
  /** The same with ws or wss. */
  readonly wsApi: string;
  readonly sessionId: string;
  /** Adds credentials and the XSRF or token header. */
  fetch(input: string, init?: RequestInit): Promise<Response>;
  /** The address to open for a WebSocket URL under `wsApi`; adds a token where there is no cookie. */
  socketUrl(path: string): string;
  openFile?(path: string, line?: number): void;
  openTerminal?(command?: string): void;
  onTitle?(title: string, status: string): void;
  translate?(text: string): string;
}

export interface ChatHandle {
  /** Put a chip into the composer; nothing is sent. */
  addContext(item: ContextItem): void;
  focus(): void;
  setText(text: string): void;
  dispose(): void;
}
