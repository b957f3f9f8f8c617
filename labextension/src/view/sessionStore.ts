/** The list's state: pages of sessions, what changed since, a search, and what a person does with one. */

import type { Brief, Change } from '../changes.js';
import type { Session } from '../protocol.js';
import { t } from './i18n.js';
import { Refused, request } from './request.js';
import type { SessionsHost } from './sessionsHost.js';

export interface Hit {
  readonly seq: number;
  /** U+0002 and U+0003 enclose what matched. */
  readonly text: string;
}

/** A conversation that the agent's own CLI made and no session holds; `path` relative to the server's root. */
export interface Conversation {
  readonly agent_session_id: string;
  readonly title: string;
  readonly updated_at: string;
  readonly path: string;
}

/** A folder that has to be decided about before what was asked for can be done. */
export interface Gate {
  readonly folder: string;
  readonly files: readonly string[];
  decide(trust: boolean): void;
}

interface Listed {
  readonly sessions: readonly Session[];
  readonly cursor: string | null;
  readonly hits?: Readonly<Record<string, readonly Hit[]>>;
  readonly cli?: readonly Conversation[];
  readonly cli_complete?: boolean;
}

const PAGE = 50;
const SEARCH_PAUSE = 150;

function briefOf(session: Session): Brief {
  const { usage, workspace } = session;
  return {
    id: session.id, title: session.title, agent: session.agent, model: session.model,
    status: session.status, status_reason: session.status_reason, unseen: session.unseen,
    path: workspace.path, cwd: workspace.cwd, notebook: session.notebook?.path ?? null,
    cost_usd: usage.cost_usd, cost_source: usage.cost_source, parent_id: session.parent_id,
    pending_permissions: session.pending_permissions, updated_at: session.updated_at
  };
}

export class SessionStore {
  rows: ReadonlyMap<string, Brief> = new Map();
  hits: ReadonlyMap<string, readonly Hit[]> = new Map();
  /** Null: all are here. */
  cursor: string | null = null;
  state: 'loading' | 'ready' | 'failed' = 'loading';
  /** Why the list could not be read. */
  problem = '';
  /** Why the last action was refused. */
  trouble = '';
  query = '';
  /** The connection is lost: what is shown is what was. */
  lost: false | 'lost' | 'signed out' = false;
  /** The last session deleted, which can be had back. */
  deleted: { readonly id: string; readonly title: string } | null = null;
  gate: Gate | null = null;
  /** Null: nobody asked for them yet. */
  cli: readonly Conversation[] | null = null;
  /** False: there was no time to look at the oldest of them. */
  cliComplete = true;
  busy = false;

  private reading = 0;
  /** What was told while the list was read: it is newer than the list. Null while none is read. */
  private meanwhile: Change[] | null = null;
  private more = false;
  private typing: ReturnType<typeof setTimeout> | undefined;
  private readonly unlisten: () => void;

  constructor(private readonly host: SessionsHost, private readonly touch: () => void) {
    this.unlisten = host.changes.listen({
      // What changed before this moment is told by no change: a list that was read before is read anew.
      onOpen: () => {
        this.lost = false;
        void this.read();
        touch();
      },
      onChange: change => this.changed(change),
      onLost: signedOut => {
        this.lost = signedOut ? 'signed out' : 'lost';
        touch();
      }
    });
    if (this.reading === 0) {
      void this.read();
    }
  }

  dispose(): void {
    this.reading += 1;
    clearTimeout(this.typing);
    this.unlisten();
  }

  // ------------------------------------------------------------ reading

  /** The first page, anew; as many as are shown now, so that nothing disappears. */
  async read(): Promise<void> {
    const mine = ++this.reading;
    this.more = false;
    this.meanwhile = [];
    const limit = Math.min(200, Math.max(PAGE, this.query ? 0 : this.rows.size));
    try {
      const page = await this.page(limit, '');
      if (mine !== this.reading) {
        return;
      }
      this.rows = new Map(page.sessions.map(each => [each.id, briefOf(each)]));
      this.hits = new Map(Object.entries(page.hits ?? {}));
      this.cursor = page.cursor;
      this.state = 'ready';
      this.meanwhile?.forEach(change => this.apply(change));
    } catch (error) {
      if (mine !== this.reading) {
        return;
      }
      this.state = 'failed';
      this.problem = wordsOf(error);
    }
    this.meanwhile = null;
    this.touch();
  }

  async readMore(): Promise<void> {
    const { cursor } = this;
    if (this.more || cursor === null || this.state !== 'ready') {
      return;
    }
    this.more = true;
    const mine = this.reading;
    try {
      const page = await this.page(PAGE, cursor);
      if (mine === this.reading) {
        // What a change has told since is newer than the page.
        const found = page.sessions.map(each => [each.id, briefOf(each)] as const);
        this.rows = new Map([...this.rows, ...found.filter(([id]) => !this.rows.has(id))]);
        this.hits = new Map([...this.hits, ...Object.entries(page.hits ?? {})]);
        this.cursor = page.cursor;
      }
    } catch (error) {
      if (mine === this.reading) {
        this.trouble = wordsOf(error);
      }
    } finally {
      if (mine === this.reading) {
        this.more = false;
      }
      this.touch();
    }
  }

  private async page(limit: number, cursor: string): Promise<Listed> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (this.query.trim()) {
      query.set('q', this.query.trim());
    }
    if (cursor) {
      query.set('cursor', cursor);
    }
    return (await request(this.host, 'GET', `sessions?${query.toString()}`)) as Listed;
  }

  search(query: string): void {
    this.query = query;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => void this.read(), SEARCH_PAUSE);
    this.touch();
  }

  private changed(change: Change): void {
    this.meanwhile?.push(change);
    this.apply(change);
    this.touch();
  }

  private apply(change: Change): void {
    const id = change.type === 'deleted' ? change.id : change.session.id;
    const rows = new Map(this.rows);
    if (change.type === 'deleted') {
      rows.delete(id);
    } else if (rows.has(id) || (!this.query.trim() && change.session.parent_id === null)) {
      // A search shows what it found; whether a new session would be among it only the server knows.
      rows.set(id, change.session);
    }
    this.rows = rows;
  }

  /** What the agent's own CLI made in all folders that the server shows. */
  async readCli(): Promise<void> {
    try {
      const page = (await request(this.host, 'GET', 'sessions?include=cli&limit=1')) as Listed;
      this.cli = page.cli ?? [];
      this.cliComplete = page.cli_complete !== false;
    } catch (error) {
      this.trouble = wordsOf(error);
    }
    this.touch();
  }

  // ------------------------------------------------------------ acting

  rename(id: string, title: string): Promise<void> {
    return this.act(async () => {
      this.put((await request(this.host, 'PATCH', `sessions/${id}`, { title })) as Session);
    });
  }

  end(id: string): Promise<void> {
    return this.act(async () => {
      this.put((await request(this.host, 'POST', `sessions/${id}/end`, {})) as Session);
    });
  }

  resume(id: string): Promise<void> {
    return this.act(async () => {
      this.put((await request(this.host, 'POST', `sessions/${id}/resume`, {})) as Session);
      this.host.open(id);
    });
  }

  fork(id: string): Promise<void> {
    return this.act(async () => {
      const made = (await request(this.host, 'POST', `sessions/${id}/fork`, {})) as Session;
      this.put(made);
      this.host.open(made.id);
    });
  }

  remove(id: string): Promise<void> {
    const title = this.rows.get(id)?.title ?? '';
    return this.act(async () => {
      await request(this.host, 'DELETE', `sessions/${id}`);
      this.changed({ type: 'deleted', id });
      this.deleted = { id, title };
    });
  }

  undo(): Promise<void> {
    const { deleted } = this;
    return this.act(async () => {
      if (deleted) {
        this.deleted = null;
        this.put((await request(this.host, 'POST', `sessions/${deleted.id}/restore`, {})) as Session);
      }
    });
  }

  /** Go on with a conversation of the CLI. */
  take(conversation: Conversation): Promise<void> {
    return this.make({ path: conversation.path, resume: conversation.agent_session_id }, () => {
      this.cli = (this.cli ?? []).filter(each => each !== conversation);
    });
  }

  create(path: string): Promise<void> {
    return this.make({ path }, () => undefined);
  }

  private make(
    wanted: { path: string; resume?: string; trust?: boolean }, done: () => void
  ): Promise<void> {
    return this.act(async () => {
      try {
        const made = (await request(this.host, 'POST', 'sessions', wanted)) as Session;
        this.put(made);
        done();
        this.host.open(made.id);
      } catch (error) {
        if (!(error instanceof Refused) || error.reason !== 'workspace_untrusted') {
          throw error;
        }
        this.gate = {
          folder: wanted.path,
          files: error.files,
          decide: trust => {
            this.gate = null;
            void this.make({ ...wanted, trust }, done);
          }
        };
      }
    });
  }

  closeGate(): void {
    this.gate = null;
    this.touch();
  }

  forgive(): void {
    this.trouble = '';
    this.touch();
  }

  private put(session: Session): void {
    this.rows = new Map(this.rows).set(session.id, briefOf(session));
  }

  private async act(work: () => Promise<void>): Promise<void> {
    this.trouble = '';
    this.busy = true;
    this.touch();
    try {
      await work();
    } catch (error) {
      this.trouble = wordsOf(error);
    } finally {
      this.busy = false;
      this.touch();
    }
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error && error.message ? error.message : t('That did not work.');
}
