/** One session's terminal with its header: JupyterLab's own widget, found again by name after a reload. */
import type { ITerminal } from '@jupyterlab/terminal';
import { Terminal } from '@jupyterlab/terminal';
import type { Terminal as TerminalService } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

import { createCard } from './card';
import type { CardContent } from './card';
import { plainText } from './text';

/** Types a command without running it: what an agent's program suggests is run by a person's own Enter. */
export function typeCommand(terminal: Terminal, command: string): void {
  terminal.paste(plainText(command).replace(/\n[\s\S]*/, ''));
  terminal.activate();
}

export interface TerminalPaneOptions {
  readonly manager: TerminalService.IManager;
  readonly trans: TranslationBundle;
  /** The person's terminal settings, read anew for each terminal. */
  readonly settings: () => Partial<ITerminal.IOptions>;
  /** Buttons at the header's end. */
  readonly tools: HTMLElement;
  readonly openMenu: (terminal: Terminal, event: MouseEvent) => void;
}

/** Where a pane's terminal runs. */
interface Place {
  readonly name: string;
  readonly cwd: string;
}

export class TerminalPane extends Panel {
  constructor(private readonly _options: TerminalPaneOptions) {
    super();
    const { tools, trans } = _options;
    this.addClass('al-TerminalPane');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Terminal'));
    const header = new Widget();
    header.addClass('al-TerminalPane-header');
    const title = document.createElement('span');
    title.className = 'al-TerminalPane-title';
    title.textContent = trans.__('Terminal');
    this._folder.className = 'al-TerminalPane-folder';
    header.node.append(title, this._folder, tools);
    this.addWidget(header);
    this._overlay.className = 'al-TerminalPane-overlay';
    this._overlay.hidden = true;
    this.node.append(this._overlay);
  }

  /** Null until the server has given one. */
  get terminal(): Terminal | null {
    return this._terminal;
  }

  /** The terminal's name on the server. */
  get name(): string {
    return this._place?.name ?? '';
  }

  /** Show the terminal of that name, starting it in `cwd` where it does not run. Never raises: a failure becomes a card. */
  async open(name: string, cwd: string, label: string): Promise<void> {
    if (this._place?.name === name && this._terminal) {
      return;
    }
    this._place = { name, cwd };
    this._folder.textContent = label;
    this._folder.title = cwd;
    await this._connect(this._place);
  }

  /** Type a command, as soon as there is a terminal, without running it. */
  async type(command: string): Promise<void> {
    await this._terminal?.ready;
    if (this._terminal) {
      typeCommand(this._terminal, command);
    }
  }

  /** Follow JupyterLab's theme: xterm takes colours, not CSS variables. */
  async adoptTheme(): Promise<void> {
    const terminal = this._terminal;
    await terminal?.ready;
    if (terminal && !terminal.isDisposed) {
      terminal.setOption('theme', 'inherit');
    }
  }

  protected override onActivateRequest(_message: Message): void {
    this._terminal?.activate();
  }

  private async _connect(place: Place): Promise<void> {
    const { manager, settings, trans } = this._options;
    if (!manager.isAvailable()) {
      this._say({
        tone: 'plain',
        heading: trans.__('No terminals here'),
        text: trans.__('This server was started without them. The chat works all the same.')
      });
      return;
    }
    try {
      // The server would start a second shell under the same name, so look first.
      await manager.refreshRunning();
      const running = Array.from(manager.running()).some(({ name }) => name === place.name);
      const connection = running
        ? manager.connectTo({ model: { name: place.name } })
        : await manager.startNew({ name: place.name, cwd: place.cwd });
      if (this.isDisposed || place !== this._place) {
        connection.dispose();
        return;
      }
      this._replace(
        new Terminal(connection, { ...settings(), theme: 'inherit', shutdownOnClose: false, closeOnExit: false })
      );
    } catch (error) {
      if (!this.isDisposed && place === this._place) {
        this._sayLost(error instanceof Error ? error.message : String(error));
      }
    }
  }

  private _replace(terminal: Terminal): void {
    this._terminal?.dispose();
    this._terminal = terminal;
    this._overlay.hidden = true;
    // The stock menu's entries only work for terminals in tabs of their own.
    terminal.node.setAttribute('data-jp-suppress-context-menu', 'true');
    terminal.node.addEventListener('contextmenu', event => {
      event.preventDefault();
      this._options.openMenu(terminal, event);
    });
    this.addWidget(terminal);
    const { session } = terminal;
    let connected = session.connectionStatus === 'connected';
    session.connectionStatusChanged.connect((_, status) => {
      if (terminal !== this._terminal) {
        return;
      }
      if (status === 'connected') {
        connected = true;
        this._overlay.hidden = true;
      } else if (session.isDisposed) {
        this._sayEnded();
      } else if (connected || status === 'disconnected') {
        this._sayLost();
      }
    });
  }

  private _sayLost(reason = ''): void {
    const { trans } = this._options;
    this._say({
      tone: 'warn',
      heading: trans.__('Connection lost'),
      text: reason || trans.__('What runs in the terminal may still be running.'),
      actions: [{ label: trans.__('Reconnect'), run: () => void this._reconnect(), filled: true }]
    });
  }

  private _sayEnded(): void {
    const { trans } = this._options;
    this._say({
      tone: 'plain',
      heading: trans.__('The shell has ended'),
      text: trans.__('It was closed here, or with the server.'),
      actions: [{ label: trans.__('New terminal'), run: () => void this._reconnect(), filled: true }]
    });
  }

  private async _reconnect(): Promise<void> {
    const place = this._place;
    const { manager } = this._options;
    if (!place) {
      return;
    }
    const terminal = this._terminal;
    try {
      await manager.refreshRunning();
      const running = Array.from(manager.running()).some(({ name }) => name === place.name);
      if (running && terminal && !terminal.session.isDisposed) {
        await terminal.refresh();
      } else {
        await this._connect(place);
      }
      this._terminal?.activate();
    } catch (error) {
      this._sayLost(error instanceof Error ? error.message : String(error));
    }
  }

  private _say(content: CardContent): void {
    this._overlay.replaceChildren(createCard(content));
    this._overlay.hidden = false;
  }

  private _place: Place | null = null;
  private _terminal: Terminal | null = null;
  private readonly _folder = document.createElement('span');
  private readonly _overlay = document.createElement('div');
}
