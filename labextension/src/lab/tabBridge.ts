/** Tells the server which notebooks this page holds, and does with them what it asks. */
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';

import { nameCells, perform, Refusal } from './tabOps';
import type { Fields } from './tabOps';

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
/** Something is sent this often: a connection that died silently ends at the next try to use it. */
const KEEP_ALIVE = 25_000;
/** It will not try again: not signed in, not allowed, or a server of another version. */
const FINAL = new Set([4400, 4401, 4403]);

interface Request {
  readonly id: string;
  readonly op: string;
  readonly key: string;
  readonly fields: Fields;
  readonly announced?: boolean;
}

interface Frame extends Partial<Request> {
  readonly type?: unknown;
  readonly max_bytes?: number;
}

export class Bridge {
  /** `url` gives the address to open. */
  constructor(
    private readonly _url: () => string,
    private readonly _notebooks: INotebookTracker
  ) {
    _notebooks.forEach(panel => {
      this._follow(panel);
    });
    _notebooks.widgetAdded.connect((_, panel) => {
      this._follow(panel);
    });
    _notebooks.currentChanged.connect(() => {
      this._touch();
    });
    window.addEventListener('focus', () => {
      this._touch();
    });
    window.addEventListener('blur', () => {
      this._touch();
    });
    window.addEventListener('online', () => {
      this._retryNow();
    });
    document.addEventListener('visibilitychange', () => {
      this._retryNow();
    });
  }

  private _follow(panel: NotebookPanel): void {
    const { context, sessionContext } = panel;
    this._keyOf(context);
    this._focused.set(panel, performance.now());
    const report = () => {
      this._report();
    };
    panel.node.addEventListener('focusin', () => {
      this._touch(panel);
    });
    context.pathChanged.connect(report);
    context.model.stateChanged.connect((_, { name }) => {
      if (name === 'dirty') {
        report();
      }
    });
    sessionContext.kernelChanged.connect(report);
    panel.disposed.connect(report);
    const name = () => {
      nameCells(panel);
    };
    context.fileChanged.connect(name);
    void context.ready.then(() => {
      name();
      report();
    });
    if (!this._socket && this._retry === undefined && !this._refused) {
      this._connect();
    }
  }

  /** A person is, or was until now, at this notebook. */
  private _touch(panel = this._notebooks.currentWidget): void {
    if (panel) {
      this._focused.set(panel, performance.now());
    }
    this._report();
  }

  private _keyOf(context: DocumentRegistry.Context): string {
    let key = this._keys.get(context);
    if (key === undefined) {
      key = String(++this._count);
      this._keys.set(context, key);
    }
    return key;
  }

  /** The panels by key; of two views of one document that which had the focus last. */
  private _held(): Map<string, NotebookPanel> {
    const held = new Map<string, NotebookPanel>();
    this._notebooks.forEach(panel => {
      if (!panel.isDisposed && panel.context.isReady) {
        const key = this._keyOf(panel.context);
        const other = held.get(key);
        if (!other || (this._focused.get(other) ?? 0) < (this._focused.get(panel) ?? 0)) {
          held.set(key, panel);
        }
      }
    });
    return held;
  }

  private _report(): void {
    if (this._reporting) {
      return;
    }
    this._reporting = true;
    // What changes together is told together.
    queueMicrotask(() => {
      this._reporting = false;
      const here = document.hasFocus() ? this._notebooks.currentWidget : null;
      const notebooks = [...this._held()].map(([key, panel]) => ({
        key,
        path: panel.context.localPath,
        kernel_id: panel.sessionContext.session?.kernel?.id ?? null,
        dirty: panel.context.model.dirty,
        active: panel === here ? 0 : performance.now() - (this._focused.get(panel) ?? 0)
      }));
      this._send({ type: 'open', notebooks });
    });
  }

  private _send(message: object): void {
    if (this._opened && this._socket?.readyState === WebSocket.OPEN) {
      this._socket.send(JSON.stringify(message));
    }
  }

  private _connect(): void {
    this._retry = undefined;
    const socket = new WebSocket(this._url());
    this._socket = socket;
    socket.addEventListener('message', message => {
      this._receive(JSON.parse(String(message.data)) as Frame);
    });
    socket.addEventListener('close', ({ code }) => {
      this._socket = null;
      this._opened = false;
      this._announced = null;
      clearInterval(this._alive);
      this._refused = FINAL.has(code);
      if (!this._refused) {
        this._retry = setTimeout(() => {
          this._connect();
        }, this._delay * (0.75 + Math.random() / 2));
        this._delay = Math.min(this._delay * 2, LONGEST_DELAY);
      }
    });
  }

  private _retryNow(): void {
    if (this._retry !== undefined && !document.hidden) {
      clearTimeout(this._retry);
      this._connect();
    }
  }

  private _receive(frame: Frame): void {
    if (frame.type === 'hello') {
      this._opened = true;
      this._delay = FIRST_DELAY;
      this._most = frame.max_bytes ?? Infinity;
      this._alive = setInterval(() => {
        this._report();
      }, KEEP_ALIVE);
      this._report();
    } else if (frame.type === 'request') {
      const request = frame as Request;
      if (request.announced) {
        // Acted on only at the server's word: while this page slept it may have given up.
        this._announced = request;
        this._send({ type: 'ready', id: request.id });
      } else {
        this._answer(request);
      }
    } else if (frame.type === 'go' && this._announced?.id === frame.id) {
      const request = this._announced as Request;
      this._announced = null;
      this._answer(request);
    }
  }

  private _answer({ id, op, key, fields }: Request): void {
    const panel = this._held().get(key);
    let reply: object;
    try {
      if (!panel) {
        throw new Refusal('tab_gone', 'The notebook was closed in the browser. Try again.');
      }
      reply = { type: 'reply', id, ok: true, result: perform(panel, op, fields) };
      const size = new Blob([JSON.stringify(reply)]).size;
      if (size > this._most) {
        const mb = (bytes: number) => Math.ceil(bytes / 1_000_000);
        throw new Refusal(
          'too_large',
          `This notebook has ${String(mb(size))} MB, and a page can send ${String(mb(this._most))} MB. ` +
            'Read it without outputs, or a cell alone.'
        );
      }
    } catch (error) {
      const known = error instanceof Refusal;
      const message = error instanceof Error ? error.message : String(error);
      reply = { type: 'reply', id, ok: false, reason: known ? error.reason : 'failed', message };
    }
    this._send(reply);
  }

  private readonly _keys = new WeakMap<DocumentRegistry.Context, string>();
  private readonly _focused = new WeakMap<NotebookPanel, number>();
  private _alive: ReturnType<typeof setInterval> | undefined;
  private _announced: Request | null = null;
  private _count = 0;
  private _delay = FIRST_DELAY;
  private _most = Infinity;
  private _opened = false;
  private _refused = false;
  private _reporting = false;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _socket: WebSocket | null = null;
}
