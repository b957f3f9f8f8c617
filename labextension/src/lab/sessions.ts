/** Plugin: the list of all sessions in the left side bar, and the command that opens one of them. */
import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { Alerts, SessionsHandle, SessionsHost } from '../view/sessionsHost';

import { loadBundle } from './bundle';
import { createCard } from './card';
import { CommandIDs } from './commands';
import { sessionsIcon } from './icon';
import { reveal } from './reveal';
import { typeCommand } from './terminalPane';
import { IAlerts, IChats, INotebookChats, ISplits } from './tokens';
import { translatorOf } from './translation';

/** Loads the list the first time it is shown: a page on which nobody looks at it pays nothing. */
class SessionsWidget extends Widget {
  constructor(
    private readonly _host: SessionsHost,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.id = 'agent-lab-sessions';
    this.addClass('al-Sessions');
    this.title.icon = sessionsIcon;
    this.title.caption = _trans.__('Agent sessions');
    this.node.setAttribute('aria-label', _trans.__('Agent sessions'));
  }

  select(id: string | null): void {
    this._shown = id;
    this._handle?.select(id);
  }

  override dispose(): void {
    this._handle?.dispose();
    this._handle = null;
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this._load();
  }

  protected override onActivateRequest(_message: Message): void {
    if (this._handle) {
      this._handle.focus();
    } else {
      this._wantsFocus = true;
    }
  }

  private async _load(): Promise<void> {
    if (this._handle || this._loading) {
      return;
    }
    this._loading = true;
    try {
      const bundle = await loadBundle();
      if (this.isDisposed) {
        return;
      }
      this.node.replaceChildren();
      this._handle = bundle.mountSessions(this.node, this._host);
      this._handle.select(this._shown);
      if (this._wantsFocus) {
        this._handle.focus();
      }
    } catch {
      this.node.replaceChildren(
        createCard({
          tone: 'error',
          heading: this._trans.__('The list did not load'),
          text: this._trans.__('Look whether the server runs, then try again.'),
          actions: [{ label: this._trans.__('Try again'), run: () => void this._load() }]
        })
      );
    } finally {
      this._loading = false;
    }
  }

  private _handle: SessionsHandle | null = null;
  private _loading = false;
  private _wantsFocus = false;
  private _shown: string | null = null;
}

export const sessions: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:sessions',
  description: 'The list of all agent sessions.',
  autoStart: true,
  requires: [IChats],
  optional: [
    ISplits,
    INotebookChats,
    IAlerts,
    IDefaultFileBrowser,
    ILabShell,
    ILayoutRestorer,
    ITranslator
  ],
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    splits: ISplits | null,
    sidebar: INotebookChats | null,
    alerts: Alerts | null,
    files: IDefaultFileBrowser | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const { client } = chats;
    const page = URLExt.join(client.settings.baseUrl, 'agent-lab/sessions');

    const open = async (id: string, seq?: number): Promise<void> => {
      let chat = chats.find(id);
      if (chat) {
        reveal(app, chat, sidebar, splits);
      } else if (splits) {
        await app.commands.execute(CommandIDs.open, { session: id });
        chat = chats.find(id) ?? splits.of(id);
      } else {
        window.open(`${page}/${encodeURIComponent(id)}`, '_blank', 'noopener');
      }
      if (seq !== undefined) {
        chat?.showAt(seq);
      }
    };
    app.commands.addCommand(CommandIDs.openSession, {
      label: trans.__('Open an agent session'),
      execute: args => {
        const { session, seq } = args;
        return typeof session === 'string' ? open(session, typeof seq === 'number' ? seq : undefined) : undefined;
      },
      describedBy: {
        args: {
          type: 'object',
          properties: { session: { type: 'string' }, seq: { type: 'integer' } },
          required: ['session']
        }
      }
    });

    const folder = () => files?.model.path.replace(/^[^/]*:/, '') ?? '';
    const host: SessionsHost = {
      api: client.api,
      fetch: (input, init) => client.fetch(input, init),
      changes: chats.changes,
      folder,
      open: (id, seq) => void open(id, seq),
      ...(splits && { create: () => void splits.open(folder()) }),
      ...(app.commands.hasCommand('terminal:create-new') && {
        openTerminal: (command: string) => void openTerminal(command)
      }),
      page,
      ...(alerts && { alerts }),
      ...translatorOf(trans)
    };
    const openTerminal = async (command: string): Promise<void> => {
      const opened = (await app.commands.execute('terminal:create-new', { cwd: folder() })) as
        { content: Parameters<typeof typeCommand>[0] } | undefined;
      await opened?.content.ready;
      if (opened) {
        typeCommand(opened.content, command);
      }
    };

    const widget = new SessionsWidget(host, trans);
    app.shell.add(widget, 'left', { rank: 600, type: 'Agent sessions' });
    restorer?.add(widget, widget.id);
    const follow = () => {
      const { lastUsed } = chats;
      widget.select(lastUsed?.isVisible ? (lastUsed.session?.id ?? null) : null);
    };
    chats.looked.connect(follow);
    labShell?.currentChanged.connect(follow);
    app.commands.addCommand(CommandIDs.showSessions, {
      label: trans.__('Show agent sessions'),
      icon: sessionsIcon,
      execute: () => {
        app.shell.activateById(widget.id);
      },
      describedBy: { args: { type: 'object', properties: {} } }
    });
  }
};
