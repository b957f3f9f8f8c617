/** Plugin: the main-area widget of chat and terminal, opened by a command and restored with the layout. */
import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IThemeManager, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { ITerminal } from '@jupyterlab/terminal';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { UUID } from '@lumino/coreutils';

import type { ChatWidget, SessionSource } from './chatWidget';
import type { Session } from './client';
import { CommandIDs, PLUGIN_ID, readOpenArgs } from './commands';
import type { OpenArgs } from './commands';
import { agentIcon } from './icon';
import { SplitContent, createTools } from './splitContent';
import { openTerminalMenu } from './terminalMenu';
import { TerminalPane } from './terminalPane';
import { plainTitle } from './text';
import { IChats, ISplits } from './tokens';

type SplitWidget = MainAreaWidget<SplitContent>;

const TERMINAL_SETTINGS = '@jupyterlab/terminal-extension:plugin';

/** The settings of JupyterLab's terminals that a terminal beside a chat should share. */
const SHARED = [
  'fontFamily',
  'fontSize',
  'lineHeight',
  'scrollback',
  'cursorBlink',
  'screenReaderMode',
  'pasteWithCtrlV',
  'macOptionIsMeta'
] as const;

/** The server's route for terminals takes word characters only. One session has one terminal, in every tab. */
function terminalName(session: Session): string {
  return session.terminal ?? `agent_${session.id.replace(/\W/g, '_')}`;
}

/** As soon as the page has nothing more urgent to do, and soon in any case. */
function whenIdle(act: () => void): void {
  if ('requestIdleCallback' in window) {
    requestIdleCallback(act, { timeout: 500 });
  } else {
    setTimeout(act, 100); // Safari has none
  }
}

export const split: JupyterFrontEndPlugin<ISplits | null> = {
  id: '@agent-lab/labextension:split',
  description: 'Chat and terminal in one split of the main area.',
  autoStart: true,
  requires: [IChats],
  optional: [ILabShell, ILayoutRestorer, ISettingRegistry, IThemeManager, ITranslator],
  provides: ISplits,
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    settings: ISettingRegistry | null,
    themes: IThemeManager | null,
    translator: ITranslator | null
  ): ISplits | null {
    // Notebook's shell takes one widget into its main area and drops the next without a word.
    if (!labShell) {
      return null;
    }
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const tracker = new WidgetTracker<SplitWidget>({ namespace: 'agent-lab-split' });
    const terminalOptions: Partial<ITerminal.IOptions> = {};
    // What the layout restorer keeps; a session joins once it is known.
    const kept = new WeakMap<SplitWidget, OpenArgs>();

    const readTerminalSettings = (loaded: ISettingRegistry.ISettings) => {
      for (const key of SHARED) {
        const value = loaded.get(key).composite;
        if (value !== undefined) {
          Object.assign(terminalOptions, { [key]: value });
        }
      }
    };
    // A JupyterLab without the terminal extension has no such settings: its widget's own defaults do.
    settings?.load(TERMINAL_SETTINGS).then(
      loaded => {
        readTerminalSettings(loaded);
        loaded.changed.connect(readTerminalSettings);
      },
      () => undefined
    );
    let own: ISettingRegistry.ISettings | null = null;
    settings?.load(PLUGIN_ID).then(
      loaded => {
        own = loaded;
      },
      () => undefined
    );
    themes?.themeChanged.connect(() => {
      tracker.forEach(widget => void widget.content.pane.adoptTheme());
    });

    const build = (wanted: OpenArgs): SplitWidget => {
      const args = { key: UUID.uuid4(), ...wanted };
      const create: SessionSource = trust =>
        chats.client.create({
          ...(args.notebook === undefined ? { path: args.cwd ?? '' } : { notebook: args.notebook }),
          ...(args.kernel === undefined ? {} : { kernel_id: args.kernel }),
          ...(trust === undefined ? {} : { trust })
        });
      const { session } = args;
      let asked = session === undefined ? undefined : chats.begin(session).found;
      const source: SessionSource =
        session === undefined
          ? create
          : () => {
              const found = asked ?? chats.client.get(session);
              asked = undefined;
              return found;
            };

      const tools = createTools();
      const pane = new TerminalPane({
        manager: app.serviceManager.terminals,
        trans,
        settings: () => terminalOptions,
        tools,
        openMenu: (terminal, event) => {
          openTerminalMenu(app.commands, terminal, event);
        }
      });
      const chat = chats.create(create, {
        openTerminal: command => {
          content.expand('terminal');
          pane.activate();
          if (command) {
            void pane.type(command);
          }
        },
        terminalBeside: () => pane.terminal
      });
      const content = new SplitContent(
        chat,
        pane,
        tools,
        {
          ratio: args.ratio ?? 0.58,
          collapsed: args.collapsed ?? null,
          orientation: args.orientation ?? (own?.get('orientation').composite === 'vertical' ? 'vertical' : 'horizontal')
        },
        trans
      );
      const widget: SplitWidget = new MainAreaWidget({ content });
      widget.id = `agent-lab-split-${args.key}`;
      widget.title.label = trans.__('Agent');
      widget.title.icon = agentIcon;
      widget.title.closable = true;
      // Empty, it would still draw a strip above the panes.
      widget.toolbar.hide();
      kept.set(widget, args);

      const save = () => {
        if (!widget.isDisposed && tracker.has(widget)) {
          void tracker.save(widget);
        }
      };
      content.changed.connect(() => {
        const { ratio, collapsed, orientation } = content.state;
        const { collapsed: _before, ...rest } = kept.get(widget) ?? {};
        kept.set(widget, { ...rest, ratio, orientation, ...(collapsed ? { collapsed } : {}) });
        save();
      });
      chat.opened.connect((_, opened) => {
        kept.set(widget, { ...kept.get(widget), session: opened.id });
        save();
        widget.title.label = plainTitle(opened.title) || trans.__('Agent');
        widget.title.caption = opened.workspace.cwd;
        // A terminal takes long to draw: the words come first.
        whenIdle(() => void pane.open(terminalName(opened), opened.workspace.cwd, opened.workspace.path || opened.workspace.cwd));
      });
      chat.titled.connect((_, { title, status }) => {
        widget.title.label = plainTitle(title) || trans.__('Agent');
        widget.title.caption = status;
      });
      void chat.open(source);
      return widget;
    };

    const show = async (args: OpenArgs): Promise<SplitWidget> => {
      const open = args.session && tracker.find(widget => widget.content.chat.session?.id === args.session);
      if (open) {
        app.shell.activateById(open.id);
        return open;
      }
      const widget = build(args);
      app.shell.add(widget, 'main', { type: 'Agent' });
      await tracker.add(widget);
      app.shell.activateById(widget.id);
      return widget;
    };

    const argsOf = (widget: SplitWidget): ReadonlyPartialJSONObject => ({ ...kept.get(widget) });

    app.commands.addCommand(CommandIDs.open, {
      label: args => (args['isLauncher'] ? trans.__('Agent') : trans.__('New agent session beside a terminal')),
      caption: trans.__('Talk with an agent beside a terminal in this folder'),
      icon: agentIcon,
      execute: args => show(readOpenArgs(args)),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            session: { type: 'string', description: trans.__('An existing session; absent for a new one') },
            cwd: { type: 'string', description: trans.__('The folder of a new session') },
            notebook: { type: 'string', description: trans.__('The notebook of a new session') },
            kernel: { type: 'string', description: trans.__('The kernel of that notebook') }
          }
        }
      }
    });

    void restorer?.restore(tracker, {
      command: CommandIDs.open,
      args: argsOf,
      name: widget => kept.get(widget)?.key ?? widget.id
    });

    const reveal = (widget: SplitWidget): ChatWidget => {
      app.shell.activateById(widget.id);
      widget.content.expand('chat');
      return widget.content.chat;
    };
    return {
      find(node) {
        const found = tracker.find(widget => widget.content.node.contains(node));
        return found ? { pane: found.content.pane, chat: found.content.chat } : null;
      },
      revealKernel(kernelId) {
        const found = tracker.find(widget => widget.content.chat.session?.notebook?.kernel_id === kernelId);
        return found ? reveal(found) : null;
      },
      reveal(chat) {
        const found = tracker.find(widget => widget.content.chat === chat);
        if (found) {
          reveal(found);
        }
      },
      of(sessionId) {
        return tracker.find(widget => kept.get(widget)?.session === sessionId)?.content.chat ?? null;
      },
      async open(cwd) {
        return reveal(await show({ cwd }));
      }
    };
  }
};
