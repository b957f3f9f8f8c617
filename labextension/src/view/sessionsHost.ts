/** What the list of sessions asks of the page it lives in, and what the page may ask of the list. */

import type { Changes } from '../changes.js';
import type { Requester } from './request.js';

export interface SessionsHost extends Requester {
  readonly changes: Changes;
  /** Where a new session begins, relative to the server's root. */
  folder(): string;
  /** Show a session; `seq`: at that place of its log. */
  open(id: string, seq?: number): void;
  /** Begin a session and show it. Absent: the list asks for a folder and makes it itself. */
  create?(): void;
  openTerminal?(command: string): void;
  /** The address of the same list as a page. */
  readonly page?: string;
  readonly alerts?: Alerts;
  translate?(text: string): string;
  translatePlural?(one: string, more: string, n: number): string;
}

/** Notifications outside of the page, which a browser allows only after a click. */
export interface Alerts {
  state(): 'on' | 'off' | 'blocked';
  /** Asks the browser where that was not done yet. */
  toggle(): Promise<void>;
  onChange(listener: () => void): void;
}

export interface SessionsHandle {
  focus(): void;
  /** Mark the session that the page shows. */
  select(id: string | null): void;
  dispose(): void;
}
