/** Brings a chat to the front. It is never a tab by itself: what holds it comes forward. */
import type { JupyterFrontEnd } from '@jupyterlab/application';

import type { ChatWidget } from './chatWidget';
import type { INotebookChats, ISplits } from './tokens';

export function reveal(
  app: JupyterFrontEnd,
  chat: ChatWidget,
  sidebar: INotebookChats | null,
  splits: ISplits | null
): void {
  const notebook = sidebar?.notebookOf(chat);
  if (notebook) {
    // The side bar shows the chat of the notebook in front.
    app.shell.activateById(notebook.id);
    sidebar?.reveal(notebook);
  } else {
    splits?.reveal(chat);
  }
  chat.focus();
}
