/** A Lumino widget around one mounted chat: finds the session, loads the bundle, says what stands in the way. */
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { BegunSocket } from '../begun';
import type { Changes } from '../changes';
import type { ContextItem } from '../protocol';
import type { CellPlaces, ChatHandle, ChatHost, OpenCells, Reference, Switch } from '../view/host';

import { forgetShown, loadBundle, rememberShown } from './bundle';
import { createCard } from './card';
import type { CardContent } from './card';
import { RefusedError } from './client';
import type { Client, Session } from './client';
import { acceptFiles, fromFolder } from './references';
import type { Look } from './tokens';
import { translatorOf } from './translation';

/** Where a chat's session comes from. `trust` is the person's answer about the workspace's own files. */
export type SessionSource = (trust?: boolean) => Promise<Session>;

export interface ChatOptions {
  readonly client: Client;
  readonly changes: Changes;
  readonly trans: TranslationBundle;
  readonly openFile: (session: Session, path: string, line?: number) => void;
  /** Null where there are no terminals. */
  readonly openTerminal: ((session: Session, command?: string) => void) | null;
  /** Where code of a session goes; null where there are no notebooks. */
  readonly cells: ((session: Session) => CellPlaces) | null;
  /** Null where there are no notebooks. */
  readonly openCells: (() => Promise<OpenCells>) | null;
  /** The session's WebSocket, where it was opened before there was a chat. */
  readonly begun: (sessionId: string) => BegunSocket | undefined;
  /** What `@` can attach from the page around a session. */
  readonly references: (session: Session) => readonly Reference[];
  readonly openSession: (id: string) => void;
  /** Absent where there are no settings. */
  readonly voice?: Switch | undefined;
  /** Absent where there is no notebook. */
  readonly startKernel?: (() => Promise<void>) | undefined;
  /** How to make another session where the wanted one is gone. */
  readonly startAnew: SessionSource;
}

export class ChatWidget extends Widget {
  constructor(private readonly _options: ChatOptions) {
    super();
    this.addClass('al-Chat');
    this.node.addEventListener('focusin', () => {
      this._used.emit();
    });
    acceptFiles(this.node, paths => {
      for (const path of paths) {
        const shown = fromFolder(this._session?.workspace.path ?? '', path);
        this.addContext({ type: 'file', label: shown, path: shown });
      }
      this.focus();
    });
  }

  /** The session shown; null until it is known. */
  get session(): Session | null {
    return this._session;
  }

  /** Emitted with every session this widget comes to show. */
  get opened(): ISignal<this, Session> {
    return this._opened;
  }

  /** Emitted when the session's title or status changes. */
  get titled(): ISignal<this, { title: string; status: string }> {
    return this._titled;
  }

  /** Emitted when the chat comes into a person's sight, and when it leaves it. */
  get looked(): ISignal<this, Look> {
    return this._looked;
  }

  /** Emitted when a person's focus enters, and when the chat comes to the front. */
  get used(): ISignal<this, void> {
    return this._used;
  }

  /** Show the session of a source instead of what is shown. Never raises: a failure becomes a card. */
  async open(source: SessionSource, trust?: boolean): Promise<void> {
    const attempt = ++this._attempt;
    this._unmount();
    this._card({ tone: 'plain', heading: this._options.trans.__('Starting…'), text: '' });
    try {
      // The bundle first: a session made for a chat that then cannot be shown would be made again.
      const [bundle, openCells] = await Promise.all([loadBundle(), this._options.openCells?.()]);
      const session = await source(trust);
      // A newer call, or the tab's end, has taken over while this one waited.
      if (attempt !== this._attempt || this.isDisposed) {
        return;
      }
      this._session = session;
      this.node.replaceChildren();
      this._handle = bundle.mountChat(this.node, this._host(session, openCells));
      rememberShown(session.id);
      this._opened.emit(session);
      for (const item of this._waiting.splice(0)) {
        this._handle.addContext(item);
      }
      if (this._wantedSeq !== null) {
        this._handle.showAt?.(this._wantedSeq);
        this._wantedSeq = null;
      }
      if (this._wantsFocus) {
        this._wantsFocus = false;
        this._handle.focus();
      }
    } catch (error) {
      if (attempt === this._attempt && !this.isDisposed) {
        this._explain(source, error);
      }
    }
  }

  /** Show another session at once where nothing is written, runs or waits; else offer it. */
  follow(session: Session): void {
    const show = () => {
      if (this.node.contains(document.activeElement)) {
        this._wantsFocus = true;
      }
      void this.open(() => Promise.resolve(session));
    };
    if (this._handle && !this._handle.quiet) {
      this._handle.offer(show);
    } else {
      show();
    }
  }

  /** Put a chip into the composer, as soon as there is one; nothing is sent. */
  addContext(item: ContextItem): void {
    if (this._handle) {
      this._handle.addContext(item);
    } else {
      this._waiting.push(item);
    }
  }

  /** Bring that place of the session's log into sight. */
  showAt(seq: number): void {
    if (this._handle) {
      this._handle.showAt?.(seq);
    } else {
      this._wantedSeq = seq;
    }
  }

  focus(): void {
    if (this._handle) {
      this._handle.focus();
    } else {
      this._wantsFocus = true;
    }
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._attempt++;
    if (this._session) {
      forgetShown(this._session.id);
    }
    this._unmount();
    Signal.clearData(this);
    super.dispose();
  }

  protected override onActivateRequest(_message: Message): void {
    this.focus();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._used.emit();
  }

  private _unmount(): void {
    this._handle?.dispose();
    this._handle = null;
    this._session = null;
  }

  private _host(session: Session, openCells?: OpenCells): ChatHost {
    const begun = this._options.begun(session.id);
    const { cells, changes, client, openFile, openSession, openTerminal, references, startKernel, trans, voice } =
      this._options;
    return {
      api: client.api,
      wsApi: client.wsApi,
      sessionId: session.id,
      ...(begun && { begun }),
      changes,
      fetch: (input, init) => client.fetch(input, init),
      socketUrl: url => client.socketUrl(url),
      openFile: (path, line) => {
        openFile(session, path, line);
      },
      ...(openTerminal && {
        openTerminal: (command?: string) => {
          openTerminal(session, command);
        }
      }),
      ...(cells && { cells: cells(session) }),
      ...(openCells && { openCells }),
      references: () => Promise.resolve(references(session)),
      ...(startKernel && { startKernel }),
      ...(voice && { voice }),
      openSession,
      onLook: visible => {
        this._looked.emit({ session: session.id, visible });
      },
      onTitle: (title, status) => {
        this._titled.emit({ title, status });
      },
      ...translatorOf(trans)
    };
  }

  private _card(content: CardContent): void {
    const region = document.createElement('div');
    region.className = 'al-Chat-card';
    region.setAttribute('role', 'region');
    region.setAttribute('aria-label', this._options.trans.__('Agent chat'));
    region.append(createCard(content));
    this.node.replaceChildren(region);
  }

  private _explain(source: SessionSource, error: unknown): void {
    const { startAnew, trans } = this._options;
    const retry = { label: trans.__('Try again'), run: () => void this.open(source) };
    if (error instanceof RefusedError && error.reason === 'workspace_untrusted') {
      this._card({
        tone: 'warn',
        heading: trans.__('Do you trust the files of this folder?'),
        text: trans.__('The agent would obey these before your first word:'),
        items: error.files.map(({ path, note }) => ({ name: path, note })),
        actions: [
          { label: trans.__('Trust'), run: () => void this.open(source, true) },
          { label: trans.__('Go on without them'), run: () => void this.open(source, false) }
        ]
      });
    } else if (error instanceof RefusedError && error.status === 404) {
      this._card({
        tone: 'warn',
        heading: trans.__('This session is gone'),
        text: trans.__('It was deleted, or it belongs to another server.'),
        actions: [{ label: trans.__('New session'), run: () => void this.open(startAnew), filled: true }]
      });
    } else if (error instanceof ServerConnection.NetworkError) {
      this._card({
        tone: 'error',
        heading: trans.__('The server does not answer'),
        text: trans.__('Start it again, or look at your network; then try once more.'),
        actions: [retry]
      });
    } else {
      this._card({
        tone: 'error',
        heading: trans.__('The session did not open'),
        text: error instanceof Error ? error.message : String(error),
        actions: [retry]
      });
    }
  }

  private _attempt = 0;
  private _handle: ChatHandle | null = null;
  private _session: Session | null = null;
  private _waiting: ContextItem[] = [];
  private _wantsFocus = false;
  private _wantedSeq: number | null = null;
  private readonly _looked = new Signal<this, Look>(this);
  private readonly _opened = new Signal<this, Session>(this);
  private readonly _titled = new Signal<this, { title: string; status: string }>(this);
  private readonly _used = new Signal<this, void>(this);
}
