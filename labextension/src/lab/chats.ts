/** Plugin: makes every chat of this page and remembers which one a person used last. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import type { IDocumentWidget } from '@jupyterlab/docregistry';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { Terminal } from '@jupyterlab/terminal';
import type { MainAreaWidget } from '@jupyterlab/apputils';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import { Signal } from '@lumino/signaling';

import { Changes } from '../changes';
import type { OpenCells } from '../view/host';

import { expectBundle } from './bundle';
import { cellPlaces } from './cells';
import { ChatWidget } from './chatWidget';
import { Client } from './client';
import type { Session } from './client';
import { CommandIDs, PLUGIN_ID } from './commands';
import { serverPath } from './paths';
import { SettingSwitch } from './settings';
import { notebookReferences, terminalReferences } from './references';
import { typeCommand } from './terminalPane';
import { share } from './translation';
import { IChats } from './tokens';
import type { Beginning, Look, Sight } from './tokens';

const NEW_TERMINAL = 'terminal:create-new';

async function openFile(app: JupyterFrontEnd, session: Session, path: string, line?: number): Promise<void> {
  const known = serverPath(session.workspace, path);
  if (known === null) {
    return;
  }
  const opened = (await app.commands.execute('docmanager:open', { path: known })) as IDocumentWidget | undefined;
  if (!opened || line === undefined) {
    return;
  }
  await opened.context.ready;
  // Only file editors have one editor for the whole document.
  const { editor } = opened.content as { editor?: CodeEditor.IEditor };
  editor?.setCursorPosition({ line: Math.max(0, line - 1), column: 0 });
}

async function openTerminal(app: JupyterFrontEnd, session: Session, command?: string): Promise<void> {
  const opened = (await app.commands.execute(NEW_TERMINAL, {
    cwd: session.workspace.cwd
  })) as MainAreaWidget<Terminal> | undefined;
  if (opened && command) {
    await opened.content.ready;
    typeCommand(opened.content, command);
  }
}

/** The session's own notebook where it is open; for a session without one, the notebook in front. */
function notebookOf(notebooks: INotebookTracker, session: Session): NotebookPanel | null {
  const path = session.notebook?.path;
  if (path === undefined) {
    return notebooks.currentWidget;
  }
  return notebooks.find(panel => panel.context.localPath === path) ?? null;
}

export const chats: JupyterFrontEndPlugin<IChats> = {
  id: PLUGIN_ID,
  description: 'Chats with agents beside notebooks and terminals.',
  autoStart: true,
  optional: [INotebookTracker, ISettingRegistry, ITranslator],
  provides: IChats,
  activate(
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ): IChats {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    share(trans);
    const voice = settings ? new SettingSwitch(settings, 'voice') : undefined;
    const client = new Client(app.serviceManager.serverSettings);
    const expected = expectBundle();
    const beginnings = new Map<string, Beginning>();
    /** Both at once: nothing is made by them, so they need not wait for the bundle, nor for a chat. */
    const begin = (session: string): Beginning => {
      const known = beginnings.get(session);
      if (known?.begun.waits) {
        return known;
      }
      const found = client.get(session);
      found.catch(() => undefined); // the chat awaits it, and says what is wrong
      const first = { begun: client.begin(session), found };
      beginnings.set(session, first);
      return first;
    };
    let cells: Promise<OpenCells> | undefined;
    /** With the bundle: a page without a chat needs neither. */
    const openCells = notebooks && (() => {
      cells ??= import('./openCells').then(parts => parts.openCells(notebooks));
      cells.catch(() => {
        cells = undefined; // whoever asks next tries again
      });
      return cells;
    });
    if (expected !== '') {
      begin(expected);
      openCells?.().catch(() => undefined); // the chat asks again, and says what is wrong
    }
    // In the order of use, the last used at the end.
    let used: ChatWidget[] = [];
    const service: IChats = {
      client,
      changes: new Changes(() => client.socketUrl(`${client.wsApi}/changes`)),
      get looked() {
        return looked;
      },
      get seen() {
        return seen;
      },
      begin,
      find: id => [...used].reverse().find(chat => chat.session?.id === id) ?? null,
      get lastUsed() {
        return used.at(-1) ?? null;
      },
      create(startAnew, { openTerminal: openOwnTerminal, startKernel, terminalBeside } = {}) {
        const chat = new ChatWidget({
          client,
          changes: service.changes,
          trans,
          startAnew,
          cells: notebooks && (session => cellPlaces(notebooks, () => notebookOf(notebooks, session), trans)),
          openCells,
          begun: id => {
            const first = beginnings.get(id);
            beginnings.delete(id);
            return first?.begun;
          },
          references: session => {
            const own = notebooks?.find(panel => panel.context.localPath === session.notebook?.path);
            const notebook = own ?? notebooks?.currentWidget;
            return [
              ...(notebook ? notebookReferences(notebook, trans) : []),
              ...terminalReferences(terminalBeside?.() ?? null, trans)
            ];
          },
          startKernel,
          voice,
          openSession: id => void app.commands.execute(CommandIDs.openSession, { session: id }),
          openFile: (session, path, line) => void openFile(app, session, path, line),
          openTerminal:
            openOwnTerminal || app.commands.hasCommand(NEW_TERMINAL)
              ? (session, command) => {
                  if (openOwnTerminal) {
                    openOwnTerminal(command);
                  } else {
                    void openTerminal(app, session, command);
                  }
                }
              : null
        });
        const touch = () => {
          used = [...used.filter(other => other !== chat), chat];
        };
        chat.opened.connect(touch);
        chat.used.connect(touch);
        chat.looked.connect((_, look) => {
          looked.emit(look);
        });
        chat.disposed.connect(() => {
          used = used.filter(other => other !== chat);
        });
        return chat;
      }
    };
    const looked = new Signal<IChats, Look>(service);
    const seen = new Signal<IChats, Sight>(service);
    return service;
  }
};
