/** Plugin: from a terminal's selection to a chip in a composer, for our terminals and JupyterLab's own. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Clipboard } from '@jupyterlab/apputils';
import { ITerminalTracker } from '@jupyterlab/terminal';
import type { ITerminal } from '@jupyterlab/terminal';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { ContextItem } from '../protocol';

import type { ChatWidget } from './chatWidget';
import { CommandIDs } from './commands';
import { reveal } from './reveal';
import { countLines, plainText } from './text';
import { IChats, INotebookChats, ISplits } from './tokens';

const TERMINAL_CLASS = 'jp-Terminal';

interface Target {
  readonly terminal: ITerminal.ITerminal;
  /** The chat beside it, where there is one. */
  readonly chat: ChatWidget | null;
}

export const terminal: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:terminal',
  description: 'Sends a terminal’s selection to an agent.',
  autoStart: true,
  requires: [IChats],
  optional: [ISplits, INotebookChats, ITerminalTracker, ITranslator],
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    splits: ISplits | null,
    sidebar: INotebookChats | null,
    tracker: ITerminalTracker | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');

    /** The element that a command is about: named by our menu, or focused, or under JupyterLab's menu. */
    const findNode = (args: ReadonlyPartialJSONObject): Element | null => {
      const { terminal: id } = args;
      if (typeof id === 'string') {
        return document.getElementById(id);
      }
      const focused = document.activeElement?.closest(`.${TERMINAL_CLASS}`);
      return focused ?? app.contextMenuHitTest(node => node.classList.contains(TERMINAL_CLASS)) ?? null;
    };

    const find = (args: ReadonlyPartialJSONObject): Target | null => {
      const node = findNode(args);
      if (!node) {
        return null;
      }
      const beside = splits?.find(node);
      if (beside?.pane.terminal) {
        return { terminal: beside.pane.terminal, chat: beside.chat };
      }
      const own = tracker?.find(widget => widget.node.contains(node));
      return own ? { terminal: own.content, chat: null } : null;
    };

    const readSelection = (args: ReadonlyPartialJSONObject): string => find(args)?.terminal.getSelection() ?? '';

    app.commands.addCommand(CommandIDs.copy, {
      label: trans.__('Copy'),
      isEnabled: args => readSelection(args) !== '',
      execute: args => {
        Clipboard.copyToSystem(readSelection(args));
      },
      describedBy: { args: { type: 'object', properties: { terminal: { type: 'string' } } } }
    });
    app.commands.addCommand(CommandIDs.paste, {
      label: trans.__('Paste'),
      // Browsers give no clipboard to pages that came over plain HTTP from another machine.
      isEnabled: args => window.isSecureContext && find(args) !== null,
      execute: async args => {
        const target = find(args);
        const text = await navigator.clipboard.readText();
        target?.terminal.paste(text);
        target?.terminal.activate();
      },
      describedBy: { args: { type: 'object', properties: { terminal: { type: 'string' } } } }
    });
    app.commands.addCommand(CommandIDs.sendSelection, {
      label: trans.__('Send to agent'),
      isEnabled: args => (splits !== null || chats.lastUsed !== null) && readSelection(args) !== '',
      execute: async args => {
        const target = find(args);
        const text = plainText(target?.terminal.getSelection() ?? '');
        if (!target || text.trim() === '') {
          return;
        }
        const item: ContextItem = {
          type: 'terminal',
          label: trans._n('terminal, %1 line', 'terminal, %1 lines', countLines(text)),
          terminal: target.terminal.session.name,
          text
        };
        const chat = target.chat ?? chats.lastUsed ?? (await splits?.open(''));
        if (chat) {
          chat.addContext(item);
          reveal(app, chat, sidebar, splits);
        }
      },
      describedBy: { args: { type: 'object', properties: { terminal: { type: 'string' } } } }
    });

    // xterm keeps Enter, with whatever modifiers, from the bubbling phase in which JupyterLab reads its shortcuts.
    document.addEventListener(
      'keydown',
      event => {
        if (!(event.target instanceof Element) || !event.target.closest(`.${TERMINAL_CLASS}`)) {
          return;
        }
        const keys = CommandRegistry.keystrokeForKeydownEvent(event);
        const ours = app.commands.keyBindings.some(
          binding =>
            binding.command === CommandIDs.sendSelection && binding.keys.length === 1 && binding.keys[0] === keys
        );
        if (ours && app.commands.isEnabled(CommandIDs.sendSelection)) {
          event.preventDefault();
          event.stopPropagation();
          void app.commands.execute(CommandIDs.sendSelection);
        }
      },
      true
    );
  }
};
