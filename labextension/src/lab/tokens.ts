/** What our plugins offer each other. */
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Terminal } from '@jupyterlab/terminal';
import { Token } from '@lumino/coreutils';
import type { ISignal, Signal } from '@lumino/signaling';

import type { BegunSocket } from '../begun';
import type { Changes } from '../changes';
import type { Alerts } from '../view/sessionsHost';

import type { ChatWidget, SessionSource } from './chatWidget';
import type { Client, Session } from './client';
import type { TerminalPane } from './terminalPane';

export interface Look {
  readonly session: string;
  readonly visible: boolean;
}

/** A question of a session that stands elsewhere than in its chat. */
export interface Sight extends Look {
  readonly request: string;
}

/** What the place of a chat can do for it. */
export interface ChatPlace {
  /** In place of a terminal in a tab of its own. */
  readonly openTerminal?: (command?: string) => void;
  readonly startKernel?: () => Promise<void>;
  /** The terminal beside the chat, for `@`. */
  readonly terminalBeside?: () => Terminal | null;
}

/** A session that is on its way to a chat, which takes the socket when it shows it. */
export interface Beginning {
  readonly begun: BegunSocket;
  readonly found: Promise<Session>;
}

/** All chats of this page. */
export interface IChats {
  readonly client: Client;
  /** The chat that a person used last and that is still there. */
  readonly lastUsed: ChatWidget | null;
  /** What changes among all sessions: one connection for the page. */
  readonly changes: Changes;
  /** Emitted when a chat comes into a person's sight, and when it leaves it. */
  readonly looked: ISignal<IChats, Look>;
  /** Emitted by whoever shows a question by itself, when it comes into a person's sight, and when it leaves it. */
  readonly seen: Signal<IChats, Sight>;
  /** A chat that shows this session. */
  find(sessionId: string): ChatWidget | null;
  /** Ask for a session before there is a chat to show it; the one that this page expects was asked for already. */
  begin(sessionId: string): Beginning;
  /** A chat that this service knows until it is disposed of. */
  create(startAnew: SessionSource, place?: ChatPlace): ChatWidget;
}

export const IChats = new Token<IChats>('@agent-lab/labextension:IChats', 'The open chats with agents.');

/** The side bar's chat, one a notebook. */
export interface INotebookChats {
  /** Shows the side bar on that notebook's session. */
  reveal(panel: NotebookPanel): ChatWidget;
  /** The notebook that a chat of the side bar belongs to. */
  notebookOf(chat: ChatWidget): NotebookPanel | null;
}

export const INotebookChats = new Token<INotebookChats>(
  '@agent-lab/labextension:INotebookChats',
  'The chat beside the current notebook.'
);

/** The splits of chat and terminal in the main area; null in a Jupyter whose main area holds one document. */
export interface ISplits {
  /** The pane that holds this element, and the chat beside it. */
  find(node: Node): { readonly pane: TerminalPane; readonly chat: ChatWidget } | null;
  /** A chat that already shows that notebook's kernel, brought to the front. */
  revealKernel(kernelId: string): ChatWidget | null;
  /** Brings a split's chat to the front, also a collapsed one; nothing where the chat is in no split. */
  reveal(chat: ChatWidget): void;
  /** The chat of a split that shows that session, or is about to. */
  of(sessionId: string): ChatWidget | null;
  /** A new session in a folder, relative to the server's root. */
  open(cwd: string): Promise<ChatWidget>;
}

export const ISplits = new Token<ISplits>(
  '@agent-lab/labextension:ISplits',
  'The chats beside a terminal.'
);

/** The browser's own notifications. */
export type IAlerts = Alerts;

export const IAlerts = new Token<IAlerts>(
  '@agent-lab/labextension:IAlerts',
  'Notifications of agents outside of the page.'
);
