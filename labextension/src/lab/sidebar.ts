/** Plugin: the chat beside the current notebook, one session a notebook kernel. */
import { ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

import { createCard } from './card';
import type { ChatWidget, SessionSource } from './chatWidget';
import type { Session } from './client';
import { agentIcon } from './icon';
import { IChats, INotebookChats, ISplits } from './tokens';

/** Shows one of its chats: that of the notebook in front. */
class Sidebar extends Panel {
  constructor(
    private readonly _chats: IChats,
    private readonly _notebooks: INotebookTracker,
    startElsewhere: (() => void) | null,
    trans: TranslationBundle
  ) {
    super();
    this.id = 'agent-lab-sidebar';
    this.addClass('al-Sidebar');
    this.title.icon = agentIcon;
    this.title.caption = trans.__('Agent');
    this.node.setAttribute('aria-label', trans.__('Agent'));
    this._empty.addClass('al-Chat-card');
    this._empty.node.append(
      createCard({
        tone: 'plain',
        heading: trans.__('No notebook is open'),
        text: trans.__('Open one, and the agent works here beside it, with its live kernel.'),
        actions: startElsewhere ? [{ label: trans.__('New session beside a terminal'), run: startElsewhere }] : []
      })
    );
    this.addWidget(this._empty);
    _notebooks.currentChanged.connect(() => {
      this._follow();
    });
    _chats.changes.listen({
      onOpen: again => {
        if (again) {
          this._byNotebook.forEach((chat, notebook) => void this._renew(notebook, chat));
        }
      },
      onChange: change => {
        if (change.type === 'session' && change.session.status !== 'ended') {
          this._byNotebook.forEach((chat, notebook) => {
            if (change.session.notebook === notebook.context.localPath && chat.session?.id !== change.session.id) {
              void this._renew(notebook, chat);
            }
          });
        }
      }
    });
  }

  /** False while JupyterLab restores its layout, which activates the side bar but must leave the focus alone. */
  settled = false;

  /** The chat of a notebook, made at the first call. */
  chatOf(notebook: NotebookPanel): ChatWidget {
    const known = this._byNotebook.get(notebook);
    if (known) {
      return known;
    }
    const source: SessionSource = trust => this._sessionOf(notebook, trust);
    const chat = this._chats.create(source, {
      startKernel: async () => {
        const { sessionContext } = notebook;
        // One that is gone cannot be restarted, and stands in the way of another.
        await sessionContext.shutdown();
        await sessionContext.startKernel();
      }
    });
    chat.hide();
    this._byNotebook.set(notebook, chat);
    this.addWidget(chat);
    // A session belongs to a kernel: another kernel is another session. A restart keeps the id.
    notebook.sessionContext.kernelChanged.connect((_, { newValue }) => {
      if (newValue && chat.session && chat.session.notebook?.kernel_id !== newValue.id) {
        void chat.open(source);
      }
    });
    notebook.disposed.connect(() => {
      this._byNotebook.delete(notebook);
      chat.dispose();
      this._follow();
    });
    void chat.open(source);
    return chat;
  }

  /** The session of a notebook's kernel, made where there is none. */
  private async _sessionOf(notebook: NotebookPanel, trust?: boolean): Promise<Session> {
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    const kernel = notebook.sessionContext.session?.kernel?.id;
    return this._chats.client.create({
      notebook: notebook.context.localPath,
      ...(kernel === undefined ? {} : { kernel_id: kernel }),
      ...(trust === undefined ? {} : { trust })
    });
  }

  /** Another session may have become the notebook's: `%agent --new` and `%agent resume` do that. */
  private async _renew(notebook: NotebookPanel, chat: ChatWidget): Promise<void> {
    const shown = chat.session;
    if (!shown) {
      return;
    }
    try {
      const now = await this._chats.client.get(shown.id);
      if (now.notebook !== null && now.status !== 'ended') {
        return;
      }
      const session = await this._sessionOf(notebook);
      if (session.id !== shown.id && chat.session === shown && !chat.isDisposed) {
        chat.follow(session);
      }
    } catch {
      return; // the chat goes on with what it has; the next change tries again
    }
  }

  notebookOf(chat: ChatWidget): NotebookPanel | null {
    return [...this._byNotebook].find(([, other]) => other === chat)?.[0] ?? null;
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._follow();
  }

  protected override onActivateRequest(_message: Message): void {
    const notebook = this._notebooks.currentWidget;
    if (notebook && this.settled) {
      this.chatOf(notebook).focus();
    }
  }

  /** A hidden side bar starts no agent. */
  private _follow(): void {
    if (!this.isVisible) {
      return;
    }
    const notebook = this._notebooks.currentWidget;
    const shown = notebook && !notebook.isDisposed ? this.chatOf(notebook) : this._empty;
    for (const widget of this.widgets) {
      widget.setHidden(widget !== shown);
    }
  }

  private readonly _empty = new Widget();
  private readonly _byNotebook = new Map<NotebookPanel, ChatWidget>();
}

export const sidebar: JupyterFrontEndPlugin<INotebookChats> = {
  id: '@agent-lab/labextension:sidebar',
  description: 'The chat beside the current notebook.',
  autoStart: true,
  requires: [IChats, INotebookTracker],
  optional: [ISplits, ILayoutRestorer, ITranslator],
  provides: INotebookChats,
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): INotebookChats {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const startElsewhere = splits && (() => void splits.open(''));
    const widget = new Sidebar(chats, notebooks, startElsewhere, trans);
    app.shell.add(widget, 'right', { rank: 1100, type: 'Agent' });
    restorer?.add(widget, widget.id);
    void app.restored.then(() => {
      widget.settled = true;
    });
    return {
      reveal(notebook) {
        app.shell.activateById(widget.id);
        return widget.chatOf(notebook);
      },
      notebookOf: chat => widget.notebookOf(chat)
    };
  }
};
