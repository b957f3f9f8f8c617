/** Shows an agent's proposed cell changes in the notebook itself, whether or not a chat is open. */
import { Notification } from '@jupyterlab/apputils';
import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { Session } from '../protocol';
import { watchLook } from '../view/look';
import type { Proposal, Proposals } from '../view/proposals';

import { loadBundle } from './bundle';
import { button } from './card';
import { nameOf } from './openCells';
import { placeOf, put } from './proposalPlace';
import type { IChats } from './tokens';
import { translatorOf } from './translation';

/** A button whose count changed this recently (ms) was pressed for the count before. */
const TOO_SOON = 500;
const GOES = 'al-mod-goes';

/** One proposal at one cell. */
class AtCell extends Widget {
  constructor(
    readonly feed: Proposals,
    private readonly _proposal: string,
    private readonly _notebook: NotebookPanel,
    private readonly _inSight: (visible: boolean) => void
  ) {
    super();
    this.addClass('al-Proposal');
    // Else the notebook's shortcuts and its own key handling would run the cell or take the focus.
    this.node.dataset['lmSuppressShortcuts'] = 'true';
    this.node.addEventListener('keydown', event => {
      event.stopPropagation();
    });
    this.node.addEventListener('focusin', () => {
      this._entered = true;
    });
    this.node.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.node.contains(relatedTarget)) {
        this._entered = false;
      }
    });
    // A click here is not one into the cell: it would take the focus from the buttons.
    this.node.addEventListener('mousedown', event => {
      event.stopPropagation();
    });
  }

  /** The cell that it marks as one that would go. */
  marked: Cell | null = null;

  draw(): void {
    this.feed.draw(this.node, this._proposal);
    this._endLook ??= watchLook(this.node, visible => {
      if (visible) {
        // Who has seen it and scrolls on, to decide, still knows of it: the notebook's toolbar says so.
        this._endLook?.();
        this._endLook = watchLook(this._notebook.node, this._inSight);
      }
    });
  }

  showHere(): void {
    this.node.scrollIntoView({ block: 'nearest' });
    this.node.querySelector<HTMLElement>('[data-first]')?.focus({ preventScroll: true });
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    // A button that an answer switches off loses the focus to nothing.
    const { activeElement } = document;
    const had = this.node.contains(activeElement) || (this._entered && activeElement === document.body);
    this.marked?.removeClass(GOES);
    this._endLook?.();
    this.feed.erase(this.node);
    super.dispose();
    if (had && !this._notebook.isDisposed) {
      // Back to the notebook that the person answered in, not into a cell's text.
      this._notebook.content.mode = 'command';
      this._notebook.content.activate();
    }
  }

  private _endLook: (() => void) | undefined;
  private _entered = false;
}

/** In a notebook's toolbar while changes wait in it. */
class Bar extends Widget {
  constructor(
    private readonly _trans: TranslationBundle,
    next: () => void,
    acceptAll: () => void
  ) {
    super();
    this.addClass('al-ProposalBar');
    this._next = button('', next);
    this._all = button('', () => {
      if (performance.now() - this._since >= TOO_SOON) {
        acceptAll();
      }
    });
    this.node.append(this._next, this._all);
    this.hide();
  }

  told(count: number): void {
    if (count === this._count) {
      return;
    }
    this._count = count;
    this._since = performance.now();
    this._next.textContent = this._trans._n('%1 proposed change', '%1 proposed changes', count);
    this._next.title = this._trans.__('Show the next change that the agent proposes');
    this._all.textContent = this._trans.__('Accept all (%1)', String(count));
    this._all.hidden = count < 2;
    this.setHidden(count === 0);
  }

  private readonly _all: HTMLButtonElement;
  private _count = 0;
  private readonly _next: HTMLButtonElement;
  private _since = 0;
}

export class Shown {
  constructor(
    private readonly _chats: IChats,
    private readonly _notebooks: INotebookTracker,
    private readonly _trans: TranslationBundle
  ) {
    _notebooks.forEach(panel => {
      this._open(panel);
    });
    _notebooks.widgetAdded.connect((_, panel) => {
      this._open(panel);
    });
    _chats.changes.listen({
      onOpen: () => void this._catchUp(),
      onChange: change => {
        if (change.type === 'deleted') {
          this._ask(change.id, false);
        } else {
          const { id, pending_permissions } = change.session;
          this._ask(id, pending_permissions.some(({ kind }) => kind === 'cell_change'));
        }
      }
    });
  }

  /** Brings the next one of the notebook into sight, with the focus. */
  async next(panel: NotebookPanel): Promise<void> {
    const waiting = this._of(panel).flatMap(([feed, proposal]) => {
      const place = placeOf(panel, proposal.change);
      return place ? [{ key: `${proposal.id}`, feed, proposal, index: panel.content.widgets.indexOf(place.cell), place }] : [];
    });
    waiting.sort((a, b) => a.index - b.index);
    const before = waiting.findIndex(({ key }) => key === this._last);
    const found = waiting[(before + 1) % waiting.length];
    if (!found) {
      return;
    }
    this._last = found.key;
    await panel.content.scrollToItem(found.index, 'smart');
    await found.place.cell.ready;
    this._sync();
    this._placed.get(panel)?.get(found.proposal.id)?.showHere();
  }

  waits(panel: NotebookPanel): boolean {
    return this._of(panel).length > 0;
  }

  private _open(panel: NotebookPanel): void {
    const later = () => {
      this._later();
    };
    const bar = new Bar(this._trans, () => void this.next(panel), () => {
      for (const [feed, { id }] of this._of(panel)) {
        feed.accept(id);
      }
    });
    if (!panel.toolbar.insertBefore('spacer', 'agentLabProposals', bar)) {
      panel.toolbar.addItem('agentLabProposals', bar);
    }
    this._bars.set(panel, bar);
    this._placed.set(panel, new Map());
    panel.context.pathChanged.connect(later);
    panel.content.modelChanged.connect(() => {
      panel.content.model?.cells.changed.connect(later);
      later();
    });
    panel.content.model?.cells.changed.connect(later);
    panel.disposed.connect(() => {
      this._bars.delete(panel);
      for (const widget of this._placed.get(panel)?.values() ?? []) {
        widget.dispose();
      }
      this._placed.delete(panel);
    });
    void panel.context.ready.then(later);
    for (const id of this._asked) {
      void this._follow(id);
    }
    later();
  }

  /** What waits since before this page was there, or while its connection was lost. */
  private async _catchUp(): Promise<void> {
    const { client } = this._chats;
    try {
      const answer = await client.fetch(`${client.api}/sessions?status=awaiting_permission&limit=200`);
      const { sessions = [] } = (answer.ok ? await answer.json() : {}) as { sessions?: readonly Session[] };
      for (const { id, pending_permissions } of sessions) {
        this._ask(id, pending_permissions.some(({ kind }) => kind === 'cell_change'));
      }
    } catch {
      return; // told again with the next connection
    }
  }

  private _ask(id: string, waits: boolean): void {
    if (waits) {
      this._asked.add(id);
      void this._follow(id);
    } else {
      this._asked.delete(id);
      this._drop(id);
    }
  }

  /** A page without notebooks follows nothing. */
  private async _follow(id: string): Promise<void> {
    if (this._feeds.has(id) || this._loading.has(id) || this._placed.size === 0) {
      return;
    }
    this._loading.add(id);
    try {
      const { followProposals } = await loadBundle();
      if (!this._asked.has(id)) {
        return;
      }
      const { client } = this._chats;
      this._feeds.set(id, followProposals({
        api: client.api,
        wsApi: client.wsApi,
        sessionId: id,
        fetch: (input, init) => client.fetch(input, init),
        socketUrl: url => client.socketUrl(url),
        name: (path, cell) => {
          const panel = this._notebooks.find(({ context }) => context.localPath === path);
          return panel && nameOf(panel, cell);
        },
        onChange: () => {
          this._sync();
        },
        onTrouble: message => {
          Notification.error(message);
        },
        ...translatorOf(this._trans)
      }));
    } catch {
      return; // the bundle cannot be had; the next change tries again
    } finally {
      this._loading.delete(id);
    }
  }

  private _drop(id: string): void {
    const feed = this._feeds.get(id);
    if (feed) {
      this._feeds.delete(id);
      for (const placed of this._placed.values()) {
        for (const [key, widget] of placed) {
          if (widget.feed === feed) {
            placed.delete(key);
            widget.dispose();
          }
        }
      }
      feed.dispose();
      this._sync();
    }
  }

  /** What waits in a notebook, whatever it was called when it was proposed. */
  private _of(panel: NotebookPanel): [Proposals, Proposal][] {
    const path = panel.context.localPath;
    return [...this._feeds.values()].flatMap(feed =>
      feed.waiting
        .filter(({ change }) => change.notebook === path || (feed.notebook === path && !this._isOpen(change.notebook)))
        .map((proposal): [Proposals, Proposal] => [feed, proposal])
    );
  }

  private _isOpen(path: string): boolean {
    return this._notebooks.find(({ context }) => context.localPath === path) !== undefined;
  }

  private _later(): void {
    if (!this._scheduled) {
      this._scheduled = true;
      requestAnimationFrame(() => {
        this._scheduled = false;
        this._sync();
      });
    }
  }

  private _sync(): void {
    for (const [panel, placed] of this._placed) {
      const waiting = this._of(panel);
      const ids = new Set(waiting.map(([, { id }]) => id));
      for (const [id, widget] of placed) {
        if (!ids.has(id) || widget.isDisposed) {
          placed.delete(id);
          widget.dispose();
        }
      }
      for (const [feed, { id, change }] of waiting) {
        const place = placeOf(panel, change);
        const known = placed.get(id);
        if (!place || (known && known.parent !== place.cell)) {
          placed.delete(id);
          known?.dispose();
        }
        if (!place) {
          continue;
        }
        const widget = placed.get(id) ?? new AtCell(feed, id, panel, visible => {
          this._chats.seen.emit({ session: feed.sessionId, request: id, visible });
        });
        if (!put(place, widget)) {
          widget.dispose();
          void place.cell.ready.then(() => {
            this._later();
          });
          continue;
        }
        placed.set(id, widget);
        if (change.operation === 'delete') {
          place.cell.addClass(GOES);
          widget.marked = place.cell;
        }
        widget.draw();
      }
      this._bars.get(panel)?.told(waiting.length);
    }
  }

  /** The sessions in which a change waits. */
  private readonly _asked = new Set<string>();
  private readonly _bars = new Map<NotebookPanel, Bar>();
  private readonly _feeds = new Map<string, Proposals>();
  private _last = '';
  private readonly _loading = new Set<string>();
  private readonly _placed = new Map<NotebookPanel, Map<string, AtCell>>();
  private _scheduled = false;
}
