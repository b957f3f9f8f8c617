/** What our plugins offer each other. */
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Terminal } from '@jupyterlab/terminal';
import { Token } from '@lumino/coreutils';

import type { ChatWidget, SessionSource } from './chatWidget';
import type { Client } from './client';
import type { TerminalPane } from './terminalPane';

/** All chats of this page. */
export interface IChats {
  readonly client: Client;
  /** The chat that a person used last and that is still there. */
  readonly lastUsed: ChatWidget | null;
  /** A chat that this service knows until it is disposed of. `openTerminal` defaults to a terminal in a tab of its own. */
  create(
    startAnew: SessionSource,
    openTerminal?: (command?: string) => void,
    /** The terminal beside the chat, for `@`. */
    terminalBeside?: () => Terminal | null
  ): ChatWidget;
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
  /** A new session in a folder, relative to the server's root. */
  open(cwd: string): Promise<ChatWidget>;
}

export const ISplits = new Token<ISplits>(
  '@agent-lab/labextension:ISplits',
  'The chats beside a terminal.'
);
