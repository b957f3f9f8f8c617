/** Chat and terminal in one split: drag, collapse either side, stack when narrow; says what must be saved. */
import type { LabIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import { MessageLoop } from '@lumino/messaging';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { Panel, SplitPanel, Widget } from '@lumino/widgets';

import type { ChatWidget } from './chatWidget';
import type { Orientation, Pane } from './commands';
import { besideIcon, collapseLeftIcon, collapseRightIcon, stackIcon } from './icon';
import type { TerminalPane } from './terminalPane';

/** Below this width, in CSS pixels, the panes stack whatever the person chose. */
const NARROW = 768;
/** What one press of an arrow key moves, as a part of the whole. */
const STEP = 0.02;
const SMALLEST = 0.1;

export interface SplitState {
  readonly ratio: number;
  readonly collapsed: Pane | null;
  readonly orientation: Orientation;
}

class HandleRenderer extends SplitPanel.Renderer {
  constructor(private readonly _label: string) {
    super();
  }

  override createHandle(): HTMLDivElement {
    const handle = super.createHandle();
    handle.setAttribute('role', 'separator');
    handle.setAttribute('aria-label', this._label);
    handle.setAttribute('aria-valuemin', String(SMALLEST * 100));
    handle.setAttribute('aria-valuemax', String(100 - SMALLEST * 100));
    handle.tabIndex = 0;
    return handle;
  }
}

function iconButton(label: string, icon: LabIcon, run: () => void): HTMLButtonElement {
  const node = document.createElement('button');
  node.type = 'button';
  node.className = 'al-IconButton';
  node.append(icon.element({ tag: 'span' }));
  node.addEventListener('click', run);
  relabel(node, label);
  return node;
}

function relabel(node: HTMLButtonElement, label: string): void {
  node.setAttribute('aria-label', label);
  node.title = label;
}

/** The buttons of the terminal's header; `SplitContent` fills it, `TerminalPane` shows it. */
export function createTools(): HTMLElement {
  const tools = document.createElement('span');
  tools.className = 'al-Tools';
  return tools;
}

export class SplitContent extends Panel {
  constructor(
    readonly chat: ChatWidget,
    readonly pane: TerminalPane,
    tools: HTMLElement,
    state: SplitState,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this._ratio = state.ratio;
    this._collapsed = state.collapsed;
    this._wanted = state.orientation;
    this.addClass('al-Split');

    this._stack = iconButton('', stackIcon, () => {
      this._wanted = this._wanted === 'horizontal' ? 'vertical' : 'horizontal';
      this._apply();
      this._changed.emit();
    });
    this._collapseChat = iconButton(_trans.__('Collapse chat'), collapseLeftIcon, () => {
      this._collapse('chat');
    });
    this._collapseTerminal = iconButton(_trans.__('Collapse terminal'), collapseRightIcon, () => {
      this._collapse('terminal');
    });
    tools.append(this._stack, this._collapseChat, this._collapseTerminal);

    this._expandChat = iconButton(_trans.__('Expand chat'), collapseRightIcon, () => {
      this.expand('chat');
    });
    this._expandTerminal = iconButton(_trans.__('Expand terminal'), collapseLeftIcon, () => {
      this.expand('terminal');
    });

    this._split = new SplitPanel({
      orientation: 'horizontal',
      spacing: 5,
      renderer: new HandleRenderer(_trans.__('Resize chat and terminal'))
    });
    this._split.addClass('al-Split-panes');
    this._split.addWidget(chat);
    this._split.addWidget(pane);
    this._split.handleMoved.connect(() => {
      const [first, second] = this._split.relativeSizes();
      if (first !== undefined && second !== undefined && first + second > 0) {
        this._setRatio(first / (first + second));
      }
    });
    this._handle?.addEventListener('keydown', event => {
      this._onHandleKey(event);
    });

    const rail = (node: HTMLElement) => {
      const widget = new Widget();
      widget.addClass('al-Split-rail');
      widget.node.append(node);
      return widget;
    };
    this._railChat = rail(this._expandChat);
    this._railTerminal = rail(this._expandTerminal);
    this.addWidget(this._railChat);
    this.addWidget(this._split);
    this.addWidget(this._railTerminal);
    this._apply();
  }

  get state(): SplitState {
    return { ratio: this._ratio, collapsed: this._collapsed, orientation: this._wanted };
  }

  /** Emitted when the state has changed by a person's hand. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Bring a collapsed pane back to where it was; nothing where it is shown. */
  expand(pane: Pane): void {
    if (this._collapsed !== pane) {
      return;
    }
    this._collapsed = null;
    this._apply();
    this._changed.emit();
    (pane === 'chat' ? this._collapseChat : this._collapseTerminal).focus();
  }

  override dispose(): void {
    Signal.clearData(this);
    super.dispose();
  }

  protected override onActivateRequest(message: Message): void {
    if (this._collapsed === 'chat') {
      MessageLoop.sendMessage(this.pane, message);
    } else {
      this.chat.focus();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._orient();
  }

  protected override onResize(message: Widget.ResizeMessage): void {
    this._orient();
    // On its way to the layout's real size a split passes through sizes too small for the ratio, and would keep what is left of it.
    this._split.setRelativeSizes([this._ratio, 1 - this._ratio]);
    super.onResize(message);
  }

  private get _handle(): HTMLDivElement | undefined {
    return this._split.handles[0];
  }

  private _collapse(pane: Pane): void {
    this._collapsed = pane;
    this._apply();
    this._changed.emit();
    (pane === 'chat' ? this._expandChat : this._expandTerminal).focus();
  }

  private _setRatio(ratio: number): void {
    this._ratio = Math.min(1 - SMALLEST, Math.max(SMALLEST, ratio));
    this._describe();
    this._changed.emit();
  }

  private _apply(): void {
    this.chat.setHidden(this._collapsed === 'chat');
    this.pane.setHidden(this._collapsed === 'terminal');
    this._railChat.setHidden(this._collapsed !== 'chat');
    this._railTerminal.setHidden(this._collapsed !== 'terminal');
    this._collapseChat.hidden = this._collapsed !== null;
    this._orient();
    this._fit();
  }

  /** Hiding a pane loses the ratio, and the rails change the room that is left. */
  private _fit(): void {
    if (this.isAttached) {
      // Until the split has measured its panes anew, it takes one just shown for hidden.
      MessageLoop.sendMessage(this._split, Widget.Msg.FitRequest);
    }
    this._split.setRelativeSizes([this._ratio, 1 - this._ratio]);
    if (this.isAttached) {
      MessageLoop.sendMessage(this._split, Widget.ResizeMessage.UnknownSize);
    }
  }

  private _orient(): void {
    const width = this.node.offsetWidth;
    const narrow = width > 0 && width < NARROW;
    const orientation = narrow ? 'vertical' : this._wanted;
    const stacked = this._wanted === 'vertical';
    this._stack.hidden = narrow;
    relabel(
      this._stack,
      stacked ? this._trans.__('Chat and terminal side by side') : this._trans.__('Stack chat and terminal')
    );
    this._stack.replaceChildren((stacked ? besideIcon : stackIcon).element({ tag: 'span' }));
    this.toggleClass('al-mod-vertical', orientation === 'vertical');
    if (this._split.orientation !== orientation) {
      this._split.orientation = orientation;
      this._fit();
    }
    this._describe();
  }

  private _describe(): void {
    const handle = this._handle;
    // A separator is named by the line it draws, which lies across the direction of the panes.
    handle?.setAttribute('aria-orientation', this._split.orientation === 'horizontal' ? 'vertical' : 'horizontal');
    handle?.setAttribute('aria-valuenow', String(Math.round(this._ratio * 100)));
  }

  private _onHandleKey(event: KeyboardEvent): void {
    const [less, more] =
      this._split.orientation === 'horizontal' ? ['ArrowLeft', 'ArrowRight'] : ['ArrowUp', 'ArrowDown'];
    const wanted = {
      [less as string]: this._ratio - STEP,
      [more as string]: this._ratio + STEP,
      Home: SMALLEST,
      End: 1 - SMALLEST
    }[event.key];
    if (wanted === undefined) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this._setRatio(wanted);
    this._fit();
  }

  private _ratio: number;
  private _collapsed: Pane | null;
  private _wanted: Orientation;
  private readonly _split: SplitPanel;
  private readonly _railChat: Widget;
  private readonly _railTerminal: Widget;
  private readonly _stack: HTMLButtonElement;
  private readonly _collapseChat: HTMLButtonElement;
  private readonly _collapseTerminal: HTMLButtonElement;
  private readonly _expandChat: HTMLButtonElement;
  private readonly _expandTerminal: HTMLButtonElement;
  private readonly _changed = new Signal<this, void>(this);
}
