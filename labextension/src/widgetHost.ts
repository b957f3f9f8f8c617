/**
 * A host for a panel in a notebook that no server of ours delivered: the sessions are in the kernel's
 * own process, and everything goes over the widget's connection (see `agent_lab/engine/panel.py`).
 */

import type { Wire } from './socket.js';
import type { ChatHost } from './view/host.js';

/** The part of anywidget's model that carries messages. */
export interface MessageModel {
  send(content: unknown): void;
  on(name: 'msg:custom', callback: (content: unknown) => void): void;
  off(name: 'msg:custom', callback: (content: unknown) => void): void;
}

export interface WidgetHost extends ChatHost {
  dispose(): void;
}

type Told =
  | { readonly kind: 'frames'; readonly socket: number; readonly data: readonly string[] }
  | { readonly kind: 'closed'; readonly socket: number; readonly code: number }
  | { readonly kind: 'response'; readonly id: number; readonly status: number; readonly body: string };

/** Nothing is there under this name: what the host's addresses begin with, and no more. */
const API = 'https://kernel.invalid/agent-lab/api';
const SESSION = /\/sessions\/([^/?]+)\/chat\?(.*)$/;

function isTold(content: unknown): content is Told {
  const kind = (content as { kind?: unknown } | null)?.kind;
  return kind === 'frames' || kind === 'closed' || kind === 'response';
}

/** One of several on a model: a notebook may show the same widget twice. */
let last = Math.floor(Math.random() * 1e9) * 1000;

class WidgetWire implements Wire {
  readyState: number = WebSocket.CONNECTING;
  private readonly events = new EventTarget();
  private readonly id = (last += 1);

  constructor(private readonly model: MessageModel, url: string, private readonly done: (wire: WidgetWire) => void) {
    const [, session = '', query = ''] = SESSION.exec(url) ?? [];
    const asked = new URLSearchParams(query);
    const where = ['after', 'tail'].flatMap(name => {
      const value = asked.get(name);
      return value === null ? [] : [[name, Number(value)]];
    });
    model.send({
      kind: 'open', socket: this.id, session_id: decodeURIComponent(session), ...Object.fromEntries(where)
    });
  }

  send(text: string): void {
    if ((JSON.parse(text) as { type?: string; id?: string }).type === 'ping') {
      // A kernel answers nothing while a cell runs, and is no less there.
      const { id } = JSON.parse(text) as { id: string };
      queueMicrotask(() => this.tell('message', { data: JSON.stringify({ type: 'ack', id }) }));
      return;
    }
    this.model.send({ kind: 'frame', socket: this.id, data: text });
  }

  close(code = 1000): void {
    if (this.readyState !== WebSocket.CLOSED) {
      this.model.send({ kind: 'close', socket: this.id });
      this.closed(code);
    }
  }

  addEventListener(
    type: 'message' | 'close', listener: (event: never) => void, options: { signal: AbortSignal }
  ): void {
    this.events.addEventListener(type, event => listener((event as CustomEvent<never>).detail), options);
  }

  take(told: Told): void {
    if (told.kind === 'response' || told.socket !== this.id || this.readyState === WebSocket.CLOSED) {
      return;
    }
    if (told.kind === 'closed') {
      this.closed(told.code);
      return;
    }
    this.readyState = WebSocket.OPEN;
    for (const data of told.data) {
      this.tell('message', { data });
    }
  }

  private closed(code: number): void {
    this.readyState = WebSocket.CLOSED;
    this.done(this);
    queueMicrotask(() => this.tell('close', { code }));
  }

  private tell(type: 'message' | 'close', detail: unknown): void {
    this.events.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export function widgetHost(model: MessageModel, sessionId: string): WidgetHost {
  const wires = new Set<WidgetWire>();
  const waiting = new Map<number, (response: Response) => void>();
  const listen = (content: unknown) => {
    if (!isTold(content)) {
      return;
    }
    if (content.kind === 'response') {
      const body = content.status === 204 ? null : content.body;
      const headers = { 'Content-Type': 'application/json' };
      waiting.get(content.id)?.(new Response(body, { status: content.status, headers }));
      waiting.delete(content.id);
      return;
    }
    wires.forEach(wire => wire.take(content));
  };
  model.on('msg:custom', listen);
  return {
    api: API,
    wsApi: API,
    sessionId,
    fetch(input, init = {}) {
      return new Promise((resolve, reject) => {
        const id = (last += 1);
        waiting.set(id, resolve);
        init.signal?.addEventListener('abort', () => {
          if (waiting.delete(id)) {
            reject(new DOMException('It was called off.', 'AbortError'));
          }
        });
        const body = typeof init.body === 'string' ? init.body : '';
        model.send({ kind: 'request', id, method: init.method ?? 'GET', path: input.slice(API.length + 1), body });
      });
    },
    socketUrl: url => url,
    openWire(url) {
      const wire = new WidgetWire(model, url, one => wires.delete(one));
      wires.add(wire);
      return wire;
    },
    dispose() {
      model.off('msg:custom', listen);
      wires.clear();
      waiting.clear();
    }
  };
}
