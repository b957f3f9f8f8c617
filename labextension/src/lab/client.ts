/** The REST routes of the contract that JupyterLab's own parts call; the view speaks for itself. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { BegunSocket, chatPath, FIRST_TURNS } from '../begun';
import type { ContentBlock, ContextItem, Session } from '../protocol';

export type { Session } from '../protocol';

/** What `POST A/sessions` takes from here. Paths are relative to the server's root. */
export interface NewSession {
  notebook?: string;
  kernel_id?: string;
  path?: string;
  trust?: boolean;
}

/** What a page sends for a person who wrote nothing in the chat. */
export interface Prompt {
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
}

/** A file that an agent would obey, as a refusal lists it. */
export interface WorkspaceFile {
  readonly path: string;
  readonly note: string;
}

/** An answer other than 2xx, in the contract's words. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly files: readonly WorkspaceFile[]
  ) {
    super(message);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readFile(value: unknown): WorkspaceFile[] {
  if (typeof value === 'string') {
    return [{ path: value, note: '' }];
  }
  if (isRecord(value) && typeof value['path'] === 'string') {
    const note = value['note'] ?? value['description'];
    return [{ path: value['path'], note: typeof note === 'string' ? note : '' }];
  }
  return [];
}

async function readRefusal(response: Response): Promise<RefusedError> {
  // A proxy in between answers in HTML: then the status line is all there is.
  const body: unknown = await response.json().catch(() => null);
  const { message, reason, files } = isRecord(body) ? body : {};
  return new RefusedError(
    response.status,
    typeof reason === 'string' ? reason : 'unexpected_answer',
    typeof message === 'string' ? message : `${String(response.status)} ${response.statusText}`,
    Array.isArray(files) ? files.flatMap(readFile) : []
  );
}

export class Client {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Absolute URL of `{base_url}agent-lab/api`. */
  get api(): string {
    return URLExt.join(this.settings.baseUrl, 'agent-lab/api');
  }

  /** The same with ws or wss. */
  get wsApi(): string {
    return URLExt.join(this.settings.wsUrl, 'agent-lab/api');
  }

  /** Answers with the live session of that notebook kernel where there is one. */
  create(request: NewSession): Promise<Session> {
    return this._send<Session>('sessions', { method: 'POST', body: JSON.stringify(request) });
  }

  get(id: string): Promise<Session> {
    return this._send<Session>(`sessions/${encodeURIComponent(id)}`);
  }

  /** Answer what waits. Raises RefusedError `already_resolved` where somebody was first. */
  answer(id: string, requestId: string, optionId: string): Promise<Session> {
    return this._send<Session>(
      `sessions/${encodeURIComponent(id)}/permissions/${encodeURIComponent(requestId)}`,
      { method: 'POST', body: JSON.stringify({ option_id: optionId }) }
    );
  }

  /** Send a prompt; while a turn runs it is queued. */
  prompt(id: string, prompt: Prompt): Promise<unknown> {
    return this._send(`sessions/${encodeURIComponent(id)}/prompt`, {
      method: 'POST',
      body: JSON.stringify({ ...prompt, origin: 'notebook' })
    });
  }

  /** Send a prompt and have its turn's events as a stream; ending that ends nothing else. */
  async promptEvents(id: string, prompt: Prompt, signal: AbortSignal): Promise<Response> {
    const response = await this.fetch(`${this.api}/sessions/${encodeURIComponent(id)}/prompt`, {
      method: 'POST',
      body: JSON.stringify({ ...prompt, origin: 'notebook' }),
      headers: { Accept: 'text/event-stream' },
      signal
    });
    if (!response.ok) {
      throw await readRefusal(response);
    }
    return response;
  }

  /** Open a session's WebSocket before there is a panel to read it. */
  begin(id: string): BegunSocket {
    return new BegunSocket(this.socketUrl(`${this.wsApi}${chatPath(id, `tail=${String(FIRST_TURNS)}`)}`));
  }

  cancel(id: string): Promise<Session> {
    return this._send<Session>(`sessions/${encodeURIComponent(id)}/cancel`, { method: 'POST', body: '{}' });
  }

  /** What is in the memory of the session's kernel; undefined where it does not tell. */
  async variables(id: string, signal: AbortSignal): Promise<unknown> {
    try {
      return await this._send(`sessions/${encodeURIComponent(id)}/variables`, { signal });
    } catch {
      return undefined;
    }
  }

  /** A page of a session's log, the last events before a seq. */
  async eventsBefore(id: string, seq: number, limit: number): Promise<{ events: unknown[]; more: boolean }> {
    return this._send(`sessions/${encodeURIComponent(id)}/events?before=${String(seq)}&limit=${String(limit)}`);
  }

  /** A request with the login of this page; `url` lies under the server's base URL. */
  fetch(url: string, init: RequestInit = {}): Promise<Response> {
    return ServerConnection.makeRequest(url, init, this.settings);
  }

  /** The address to open for a WebSocket: with the token only where the page's cookie does not go. */
  socketUrl(url: string): string {
    const { appendToken, token } = this.settings;
    if (!appendToken || token === '') {
      return url;
    }
    return `${url}${url.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}`;
  }

  /** Raises RefusedError, or ServerConnection.NetworkError where nothing answers. */
  private async _send<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.fetch(`${this.api}/${path}`, init);
    if (!response.ok) {
      throw await readRefusal(response);
    }
    return (await response.json()) as T;
  }
}
