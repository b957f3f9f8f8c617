/**
 * Decides what of all sessions is worth a notification, and which tab gives it. Knows no host: the
 * caller says how one is shown.
 *
 * Told is what nobody looks at: the server marks a turn that ended unseen, and a tab whose panel is
 * looked at claims what waits there without a word.
 */

import type { Brief, BriefPermission, Change, Changes } from './changes.js';
import type { Session } from './protocol.js';

export type NewsKind = 'permission' | 'ended' | 'failed';

export interface News {
  readonly kind: NewsKind;
  /** The same in every tab. */
  readonly key: string;
  readonly session: Brief;
  readonly permission: BriefPermission | null;
  /** What the agent said last, or why it failed. */
  readonly text: string;
}

export interface NotifierOptions {
  readonly changes: Changes;
  /** Absolute URL of `{base_url}agent-lab/api`. */
  readonly api: string;
  fetch(input: string): Promise<Response>;
  /** A person wants to hear of this kind. */
  wants(kind: NewsKind): boolean;
  tell(news: News): void;
  /** What was told is no longer so: answered, gone, or looked at. */
  takeBack(key: string): void;
}

const WORKING = new Set(['starting', 'running', 'awaiting_permission', 'cancelling']);
const CLAIMS = 'agent-lab:told';
const TAB = 'agent-lab:tab';
/** A cell change may be about to come into sight at its cell (ms), here or in another tab. */
const COMES_INTO_SIGHT = 1_500;
/** A claim is for the tabs that hear of the same thing now. */
const CLAIM_AGE = 8_000;
/** An end this much older than the session's last change is not what changed. */
const JUST_NOW = 5_000;
const HIGHEST_SEQ = 4_294_967_295;

/** Which tab speaks: the one in use at once, then those in sight, then the hidden ones. */
const turnOf = (): number =>
  !document.hidden && document.hasFocus() ? 0
  : (document.hidden ? 500 : 200) + Math.random() * 200;

export class Notifier {
  private readonly known = new Map<string, Brief>();
  private readonly told = new Set<string>();
  private readonly looked = new Map<string, number>();
  /** Questions that stand in sight by themselves, without their session. */
  private readonly seen = new Set<string>();
  private readonly tab: string;
  private readonly unlisten: () => void;
  private disposed = false;

  constructor(private readonly options: NotifierOptions) {
    this.tab = tabName();
    this.unlisten = options.changes.listen({
      onOpen: () => void this.catchUp(),
      onChange: change => this.changed(change)
    });
  }

  dispose(): void {
    this.disposed = true;
    this.unlisten();
  }

  /** A panel here shows that session to a person, or no longer does. */
  look(id: string, visible: boolean): void {
    const count = (this.looked.get(id) ?? 0) + (visible ? 1 : -1);
    if (count > 0) {
      this.looked.set(id, count);
    } else {
      this.looked.delete(id);
    }
    const brief = this.known.get(id);
    if (visible) {
      [...this.told].filter(key => key.startsWith(`${id}:`)).forEach(key => this.takeBack(key));
    } else if (brief && count <= 0) {
      this.ask(brief);
    }
  }

  /** A question itself is in a person's sight here, or no longer is. */
  see(id: string, request: string, visible: boolean): void {
    const key = keyOf(id, request);
    if (visible) {
      this.seen.add(key);
      this.claim(key);
      this.takeBack(key);
      return;
    }
    const brief = this.known.get(id);
    if (this.seen.delete(key) && brief) {
      this.ask(brief);
    }
  }

  /** What waits for an answer since before this page was there. */
  private async catchUp(): Promise<void> {
    const page = (await this.read('sessions?status=awaiting_permission&limit=20')) as
      { sessions?: readonly Session[] } | null;
    for (const session of page?.sessions ?? []) {
      const { notebook, usage, workspace } = session;
      this.changed({
        type: 'session',
        session: {
          ...session, path: workspace.path, cwd: workspace.cwd, notebook: notebook?.path ?? null,
          cost_usd: usage.cost_usd, cost_source: usage.cost_source
        }
      });
    }
  }

  private changed(change: Change): void {
    if (change.type === 'deleted') {
      this.known.delete(change.id);
      [...this.told].filter(key => key.startsWith(`${change.id}:`)).forEach(key => this.takeBack(key));
      return;
    }
    const { session } = change;
    const before = this.known.get(session.id);
    this.known.set(session.id, session);
    if (session.parent_id !== null) {
      return; // a review's news are its parent's
    }
    const pending = new Set(session.pending_permissions.map(each => keyOf(session.id, each.request_id)));
    for (const key of [...this.told]) {
      const mine = key.startsWith(`${session.id}:`);
      const over = key.startsWith(`${session.id}:end:`) ? !session.unseen : !pending.has(key);
      if (mine && over) {
        this.takeBack(key);
      }
    }
    this.ask(session);
    const wasWorking = before !== undefined && WORKING.has(before.status);
    const ended = session.unseen && !WORKING.has(session.status) &&
      (before === undefined || wasWorking || !before.unseen);
    const next = session.unseen && WORKING.has(session.status) && before?.unseen === false;
    const failed = session.status === 'failed' && before !== undefined && before.status !== 'failed';
    if (ended || next || failed) {
      void this.end(session);
    }
  }

  private ask(session: Brief): void {
    if (session.parent_id !== null) {
      return;
    }
    for (const permission of session.pending_permissions) {
      const key = keyOf(session.id, permission.request_id);
      this.offer({ kind: 'permission', key, session, permission, text: permission.title }, () =>
        this.known.get(session.id)?.pending_permissions.some(
          each => each.request_id === permission.request_id) ?? false);
    }
  }

  /** How the last turn ended stands in the log. */
  private async end(session: Brief): Promise<void> {
    const { id } = session;
    const page = (await this.read(
      `sessions/${encodeURIComponent(id)}/events?before=${HIGHEST_SEQ}&limit=12`
    )) as { events?: readonly LogEvent[] } | null;
    const newest = [...(page?.events ?? [])].reverse();
    const end = newest.find(each => each.type === 'turn_ended');
    if (!end || end.stop_reason === 'cancelled' ||
        Date.parse(session.updated_at) - Date.parse(end.time) > JUST_NOW) {
      return;
    }
    const said = newest.find(each => each.type === 'agent_message' && each.seq < end.seq);
    const text = end.error?.message ??
      (said?.content ?? []).map(block => (block.type === 'text' ? (block.text ?? '') : '')).join(' ');
    this.offer(
      {
        kind: end.error ? 'failed' : 'ended', key: `${id}:end:${end.seq}`, session, permission: null,
        text: text.replace(/\s+/g, ' ').trim()
      },
      () => this.known.get(id)?.unseen ?? false
    );
  }

  private offer(news: News, still: () => boolean): void {
    const { key, session } = news;
    if (this.told.has(key) || !this.options.wants(news.kind)) {
      return;
    }
    const inSight = (): boolean => this.looked.has(session.id) || this.seen.has(key);
    if (inSight()) {
      this.claim(key);
      return;
    }
    const wait = turnOf() + (news.permission?.kind === 'cell_change' ? COMES_INTO_SIGHT : 0);
    const give = (): void => {
      if (!this.disposed && !this.told.has(key) && !inSight() && still() && this.claim(key)) {
        this.told.add(key);
        this.options.tell(news);
      }
    };
    if (wait === 0) {
      give();
    } else {
      setTimeout(give, wait);
    }
  }

  private takeBack(key: string): void {
    if (this.told.delete(key)) {
      this.options.takeBack(key);
    }
  }

  /** True when no other tab has spoken for it just now. */
  private claim(key: string): boolean {
    const now = Date.now();
    let claims: Record<string, { tab: string; time: number }> = {};
    try {
      claims = JSON.parse(localStorage.getItem(CLAIMS) ?? '{}') as typeof claims;
      const other = claims[key];
      if (other && other.tab !== this.tab && now - other.time < CLAIM_AGE) {
        return false;
      }
      const young = Object.entries(claims).filter(([, { time }]) => now - time < CLAIM_AGE);
      claims = Object.fromEntries(young);
      claims[key] = { tab: this.tab, time: now };
      localStorage.setItem(CLAIMS, JSON.stringify(claims));
    } catch {
      // A browser that stores nothing, or something else under our name: then each tab speaks.
    }
    return true;
  }

  private async read(path: string): Promise<unknown> {
    try {
      const answer = await this.options.fetch(`${this.options.api}/${path}`);
      return answer.ok ? await answer.json() : null;
    } catch {
      return null; // the server is gone: the next change asks again
    }
  }
}

interface LogEvent {
  readonly seq: number;
  readonly type: string;
  readonly time: string;
  readonly stop_reason?: string;
  readonly error?: { readonly message: string } | null;
  readonly content?: readonly { readonly type: string; readonly text?: string }[];
}

const keyOf = (session: string, request: string): string => `${session}:ask:${request}`;

/** The same after a reload, which is to tell again what still waits. */
function tabName(): string {
  try {
    const known = sessionStorage.getItem(TAB) ?? crypto.getRandomValues(new Uint32Array(2)).join('-');
    sessionStorage.setItem(TAB, known);
    return known;
  } catch {
    return String(Math.random());
  }
}
