/** What the panel asks of the page it lives in, and what the page may ask of the panel. */

import type { BegunSocket } from '../begun.js';
import type { Changes } from '../changes.js';
import type { CellChange, ContextItem } from '../protocol.js';
import type { Wire } from '../socket.js';

export interface ChatHost {
  /** Absolute URL of `{base_url}agent-lab/api`. */
  readonly api: string;
  /** The same with ws or wss. */
  readonly wsApi: string;
  readonly sessionId: string;
  /** What changes among all sessions: an ended one tells nothing more by itself. */
  readonly changes?: Changes;
  /** Adds credentials and the XSRF or token header. */
  fetch(input: string, init?: RequestInit): Promise<Response>;
  /** The address to open for a WebSocket URL under `wsApi`; adds a token where there is no cookie. */
  socketUrl(path: string): string;
  /** The session's WebSocket, where the page has opened it before the panel was there. */
  readonly begun?: BegunSocket;
  /** What carries the session's frames, where that is no WebSocket of the browser's. */
  openWire?(url: string): Wire;
  openFile?(path: string, line?: number): void;
  openTerminal?(command?: string): void;
  /** Where code of an answer can go. Absent where the page has no notebooks. */
  readonly cells?: CellPlaces;
  /** Absent where the page has no notebooks. */
  readonly openCells?: OpenCells;
  /** What the page itself can offer to `@`: cells of the notebook, the terminal beside. */
  references?(): Promise<readonly Reference[]>;
  /** Show another session in place of this one. */
  openSession?(id: string): void;
  onTitle?(title: string, status: string): void;
  /** Whether a person sees this panel now. */
  onLook?(visible: boolean): void;
  /** Start the notebook's kernel. Absent where there is no notebook. */
  startKernel?(): Promise<void>;
  /** Voice input, where the host keeps such settings. */
  readonly voice?: Switch;
  translate?(text: string): string;
  /** The form of the catalogue that goes with `n`. */
  translatePlural?(one: string, more: string, n: number): string;
}

/** A setting that is on or off. */
export interface Switch {
  readonly on: boolean;
  turn(on: boolean): void;
  /** Returns what ends it. */
  onChange(listener: () => void): () => void;
}

/** "source": the page no longer knows what else a deleted cell held. */
export type Undoable = 'no' | 'source' | 'whole';

/** The cells of the notebooks that the page has open. */
export interface OpenCells {
  /** What people call a cell: "[7]"; undefined where it is not open, or has not run. */
  name(notebook: string, cellId: string): string | undefined;
  /**
   * How much of the cell can be put back; "no" where it is no longer what the change made of it, undefined
   * where the notebook is not open.
   */
  canUndo(change: CellChange): Undoable | undefined;
  /** False where that is no longer so. The notebook's own undo brings the change back. */
  undo(change: CellChange): boolean;
  /** Calls when an answer of these may be another. Returns what ends it. */
  watch(changed: () => void): () => void;
}

export interface CellPlaces {
  /** Undefined while no notebook is open that it could go to. */
  now(): CellPlace | undefined;
  /** Calls when `now` may have become another. Returns what ends it. */
  watch(changed: () => void): () => void;
}

/** A notebook, and the cell that is active in it. */
export interface CellPlace {
  /** As a new code cell below the active one; nothing is run. */
  insert(code: string): void;
  /** In place of the active cell's source; undo brings that back. */
  replace(code: string): void;
  /** Why it cannot be done now, as a sentence; "": it can. */
  readonly notInsert: string;
  readonly notReplace: string;
}

/** Something that `@` can attach. `item` is asked for when it is chosen. */
export interface Reference {
  readonly kind: ContextItem['type'] | 'session';
  readonly label: string;
  readonly detail: string;
  item(): Promise<ContextItem>;
}

export interface ChatHandle {
  /** Nothing is written, runs or waits here: another session may take its place. */
  readonly quiet: boolean;
  /** Tell that the notebook has another session now; `show` brings that one here. */
  offer(show: () => void): void;
  /** Put a chip into the composer; nothing is sent. */
  addContext(item: ContextItem): void;
  focus(): void;
  /** Bring that place of the log into sight. */
  showAt?(seq: number): void;
  setText(text: string): void;
  dispose(): void;
}
