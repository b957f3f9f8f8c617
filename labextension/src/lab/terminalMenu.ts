/** The context menu of a terminal beside a chat. */
import type { Terminal } from '@jupyterlab/terminal';
import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

import { CommandIDs } from './commands';

/** Shows a command's keys although our items carry arguments and the keys do not. */
class MenuRenderer extends Menu.Renderer {
  constructor(private readonly _commands: CommandRegistry) {
    super();
  }

  override formatShortcut(data: Menu.IRenderData): string | null {
    const binding = this._commands.keyBindings.find(({ command }) => command === data.item.command);
    return binding ? CommandRegistry.formatKeystroke(binding.keys) : null;
  }
}

let menu: Menu | null = null;

export function openTerminalMenu(commands: CommandRegistry, terminal: Terminal, event: MouseEvent): void {
  menu?.dispose();
  menu = new Menu({ commands, renderer: new MenuRenderer(commands) });
  const args = { terminal: terminal.id };
  menu.addItem({ command: CommandIDs.copy, args });
  menu.addItem({ command: CommandIDs.paste, args });
  menu.addItem({ type: 'separator' });
  menu.addItem({ command: CommandIDs.sendSelection, args });
  menu.open(event.clientX, event.clientY);
}
