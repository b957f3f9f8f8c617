/**
 * The fold: events in, what a person sees out. Pure; the twin of `agent_lab/protocol/transcript.py`:
 * the same fixtures give the same JSON. An item that changes is replaced, all others keep their
 * identity, so a view redraws exactly what changed.
 */

import type {
  Body, ContentBlock, ContextItem, Event, Json, Location, Origin, PermissionRequest, PlanEntry,
  Session, StopReason, ToolContent, ToolKind, ToolStatus, TurnError, TurnUsage
} from './protocol.js';

interface Placed<T extends string> {
  readonly type: T;
  readonly id: string;
  readonly seq: number;
  readonly time: string;
  readonly turn_id: string | null;
}
export interface UserItem extends Placed<'user_message'> {
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
  readonly origin: Origin;
}
/** `text` grows while `done` is false; `content` holds the finished blocks. */
export interface MessageItem extends Placed<'agent_message'> {
  readonly parent_tool_call_id: string | null;
  readonly text: string;
  readonly content: readonly ContentBlock[];
  readonly done: boolean;
  readonly partial: boolean;
}
export interface ThoughtItem extends Placed<'agent_thought'> {
  readonly parent_tool_call_id: string | null;
  readonly text: string;
  readonly done: boolean;
  readonly partial: boolean;
  readonly duration_ms: number | null;
}
/** `started_at` and `ended_at` are event times: when it was called, when it was settled. */
export interface ToolItem extends Placed<'tool_call'> {
  readonly title: string;
  readonly name: string;
  readonly target: string;
  readonly kind: ToolKind;
  readonly status: ToolStatus;
  readonly raw_input: Json;
  readonly raw_output: Json;
  readonly content: readonly ToolContent[];
  readonly locations: readonly Location[];
  readonly parent_tool_call_id: string | null;
  readonly started_at: string;
  readonly ended_at: string | null;
}
export interface PlanItem extends Placed<'plan'> {
  readonly entries: readonly PlanEntry[];
}
/** `outcome` null: it waits for a person. */
export interface PermissionItem extends Placed<'permission'> {
  readonly request: PermissionRequest;
  readonly outcome: 'selected' | 'cancelled' | null;
  readonly option_id: string | null;
  readonly message: string | null;
  readonly by: string | null;
  readonly answers: Readonly<Record<string, string>> | null;
  /** What the agent was told of the request's trial. */
  readonly trial: string | null;
}
export interface TurnItem extends Placed<'turn'> {
  readonly stop_reason: StopReason;
  readonly error: TurnError | null;
  readonly usage: TurnUsage;
  readonly duration_ms: number | null;
}
export interface NoticeItem extends Placed<'notice'> {
  readonly level: 'info' | 'warning' | 'error';
  readonly code: string;
  readonly text: string;
}
export interface ExitItem extends Placed<'agent_exited'> {
  readonly code: number | null;
  readonly signal: number | null;
  readonly expected: boolean;
  readonly stderr: string;
}
export interface InvalidItem extends Placed<'agent_output_invalid'> {
  readonly excerpt: string;
  readonly reason: string;
  readonly length: number;
}
export interface ReviewItem extends Placed<'review'> {
  readonly child_id: string;
  readonly anchor_seq: number;
  readonly ended: boolean;
}
export interface UnknownItem extends Placed<'unknown'> {
  readonly raw: Json;
}
export type Item =
  | UserItem | MessageItem | ThoughtItem | ToolItem | PlanItem | PermissionItem | TurnItem
  | NoticeItem | ExitItem | InvalidItem | ReviewItem | UnknownItem;

export interface RunningTurn {
  readonly turn_id: string;
  readonly started_at: string;
  readonly origin: Origin;
}
/** `items` is one array that grows; its entries are replaced, never changed. */
export interface Transcript {
  session: Session;
  items: Item[];
  turn: RunningTurn | null;
  first_seq: number;
  last_seq: number;
}

type BodyOf<T extends Body['type']> = Extract<Body, { readonly type: T }>;

const settled = (status: ToolStatus): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled';

/** The words of some content blocks, one after the other. */
export const textOf = (content: readonly ContentBlock[]): string =>
  content.map(block => (block.type === 'text' ? block.text : '')).join('');

/**
 * Folds events into a transcript, each in constant time. `session` is the session object to begin
 * with: the one of a `hello` (already at its own `last_seq`, so older events only add items).
 */
export class Fold {
  readonly transcript: Transcript;
  /** Grows with each change. */
  version = 0;

  /** Where each item is, counted from a fixed point: what is put before them moves no one. */
  private readonly place = new Map<string, number>();
  /** What the first item's place is. */
  private start = 0;
  /** Events that change an item which may lie in an older page, by that item's key. */
  private readonly late = new Map<string, Event[]>();
  private turnKnown = false;

  constructor(session: Session) {
    this.transcript = { session, items: [], turn: null, first_seq: 0, last_seq: 0 };
  }

  push(event: Event): void {
    const transcript = this.transcript;
    if (event.seq <= transcript.last_seq) {
      return;
    }
    transcript.last_seq = event.seq;
    transcript.first_seq ||= event.seq;
    if (event.seq > transcript.session.last_seq) {
      transcript.session = foldSession(transcript.session, event);
    }
    this.foldItem(event);
    this.version += 1;
  }

  /** The session object as the server says it is now (a `hello` after a reconnect). */
  setSession(session: Session): void {
    this.transcript.session = session;
    this.version += 1;
  }

  /**
   * Put a page of older events before what is there. What came later stays what counts. It costs what
   * the page costs, however much is there.
   */
  prepend(events: readonly Event[]): void {
    const mine = this.transcript;
    const before = mine.first_seq || Infinity;
    const older = new Fold({ ...mine.session, last_seq: Infinity });
    for (const event of events) {
      if (event.seq < before) {
        older.push(event);
      }
    }
    const gone: number[] = [];
    for (const key of older.place.keys()) {
      const index = this.indexOf(key);
      const late = this.late.get(key);
      if (late) {
        late.forEach(event => older.foldItem(event));
        if (index !== undefined) {
          gone.push(index);
        }
      } else if (index !== undefined) {
        const joined = join(older.find(key)!, mine.items[index]!);
        if (joined) {
          older.set(key, joined);
          gone.push(index);
        }
      }
    }
    for (const [key, late] of older.late) {
      this.late.set(key, older.place.has(key) ? late : [...late, ...(this.late.get(key) ?? [])]);
    }
    this.putBefore(older, gone.sort((a, b) => a - b));
    mine.first_seq = older.transcript.first_seq || mine.first_seq;
    if (!this.turnKnown) {
      mine.turn = older.transcript.turn;
      this.turnKnown = older.turnKnown;
    }
    this.forget();
    this.version += 1;
  }

  /** Those `gone` (their indices, ascending) have become part of an older one. */
  private putBefore(older: Fold, gone: readonly number[]): void {
    const mine = this.transcript;
    const last = gone.at(-1);
    if (last !== undefined) {
      // What lies behind the last of them keeps its place; only what lies before it moves.
      for (const [key, place] of this.place) {
        const index = place - this.start;
        if (index <= last) {
          this.place.set(key, place + gone.filter(each => each >= index).length);
        }
      }
    }
    const removed = new Set(gone);
    const kept = removed.size ? mine.items.filter((_, index) => !removed.has(index)) : mine.items;
    mine.items = older.transcript.items.concat(kept);
    this.start -= older.transcript.items.length - removed.size;
    for (const [key, place] of older.place) {
      this.place.set(key, place + this.start);
    }
  }

  /** The same JSON as the Python fold's. */
  toJSON(): Transcript {
    return this.transcript;
  }

  private indexOf(key: string): number | undefined {
    const place = this.place.get(key);
    return place === undefined ? undefined : place - this.start;
  }

  private find(key: string): Item | undefined {
    const index = this.indexOf(key);
    return index === undefined ? undefined : this.transcript.items[index];
  }

  private set(key: string, item: Item): void {
    this.transcript.items[this.indexOf(key)!] = item;
  }

  private add(key: string, item: Item): void {
    this.place.set(key, this.start + this.transcript.items.length);
    this.transcript.items.push(item);
  }

  /** Nothing lies before the first event: what waits for something older waits for nothing. */
  private forget(): void {
    if (this.transcript.first_seq === 1) {
      this.late.clear();
    }
  }

  private remember(key: string, event: Event): void {
    if (this.transcript.first_seq === 1) {
      return;
    }
    const known = this.late.get(key);
    if (known) {
      known.push(event);
    } else {
      this.late.set(key, [event]);
    }
  }

  private foldItem(event: Event): void {
    const { seq, time, turn_id, body } = event;
    const at = { seq, time, turn_id };
    switch (body.type) {
      case 'agent_message_chunk':
      case 'agent_message':
        return this.message(event, body);
      case 'agent_thought_chunk':
      case 'agent_thought':
        return this.thought(event, body);
      case 'tool_call':
        return this.toolCall(event, body);
      case 'tool_call_update':
        return this.toolUpdate(event, body);
      case 'user_message': {
        const { message_id: id, content, context, origin } = body;
        return this.add(`user:${id}`, { type: 'user_message', id, ...at, content, context, origin });
      }
      case 'turn_started':
        if (turn_id !== null) {
          this.transcript.turn = { turn_id, started_at: time, origin: body.origin };
          this.turnKnown = true;
        }
        return;
      case 'turn_ended': {
        const { stop_reason, error, usage, duration_ms } = body;
        const id = `turn:${pythonic(turn_id)}`;
        this.transcript.turn = null;
        this.turnKnown = true;
        return this.add(id, { type: 'turn', id, ...at, stop_reason, error, usage, duration_ms });
      }
      case 'plan': {
        const key = `plan:${pythonic(turn_id)}`;
        const found = this.find(key);
        if (found?.type === 'plan') {
          return this.set(key, { ...found, entries: body.entries });
        }
        return this.add(key, { type: 'plan', id: key, ...at, entries: body.entries });
      }
      case 'permission_request': {
        const key = `permission:${body.request_id}`;
        this.remember(key, event);
        if (!this.find(key)) {
          this.add(key, {
            type: 'permission', id: body.request_id, ...at, request: body, outcome: null,
            option_id: null, message: null, by: null, answers: null, trial: null
          });
        }
        return;
      }
      case 'permission_updated': {
        const key = `permission:${body.request_id}`;
        this.remember(key, event);
        const found = this.find(key);
        if (found?.type === 'permission') {
          this.set(key, { ...found, request: amended(found.request, body) });
        }
        return;
      }
      case 'permission_resolved': {
        const key = `permission:${body.request_id}`;
        this.remember(key, event);
        const found = this.find(key);
        if (found?.type === 'permission' && found.outcome === null) {
          const { outcome, option_id, message, by, answers, trial } = body;
          this.set(key, { ...found, outcome, option_id, message, by, answers, trial });
        }
        return;
      }
      case 'notice':
        return this.notice(event, body);
      case 'agent_exited': {
        const { code, signal, expected, stderr } = body;
        const id = `exit:${seq}`;
        return this.add(id, { type: 'agent_exited', id, ...at, code, signal, expected, stderr });
      }
      case 'agent_output_invalid': {
        const { excerpt, reason, length } = body;
        const id = `invalid:${seq}`;
        return this.add(id, { type: 'agent_output_invalid', id, ...at, excerpt, reason, length });
      }
      case 'review_started': {
        const { review_id: id, child_id, anchor_seq } = body;
        return this.add(`review:${id}`, {
          type: 'review', id, ...at, child_id, anchor_seq, ended: false
        });
      }
      case 'review_ended': {
        const key = `review:${body.review_id}`;
        const found = this.find(key);
        if (found?.type === 'review') {
          this.set(key, { ...found, ended: true });
        } else {
          this.remember(key, event);
        }
        return;
      }
      case 'unknown': {
        const id = `unknown:${seq}`;
        return this.add(id, { type: 'unknown', id, ...at, raw: body.raw });
      }
      case 'session_updated':
      case 'queue_updated':
      case 'usage':
        return;
    }
  }

  private message(event: Event, body: BodyOf<'agent_message_chunk' | 'agent_message'>): void {
    const key = `message:${body.message_id}`;
    let item = this.find(key);
    if (item?.type !== 'agent_message') {
      item = {
        type: 'agent_message', id: body.message_id, seq: event.seq, time: event.time,
        turn_id: event.turn_id, parent_tool_call_id: body.parent_tool_call_id || null, text: '',
        content: [], done: false, partial: false
      };
      this.add(key, item);
    }
    if (body.type === 'agent_message_chunk') {
      this.set(key, { ...item, text: item.text + body.text });
      return;
    }
    const { content } = body;
    this.set(key, {
      ...item, text: textOf(content), content, done: true, partial: body.partial === true
    });
  }

  private thought(event: Event, body: BodyOf<'agent_thought_chunk' | 'agent_thought'>): void {
    const key = `thought:${body.message_id}`;
    let item = this.find(key);
    if (item?.type !== 'agent_thought') {
      item = {
        type: 'agent_thought', id: body.message_id, seq: event.seq, time: event.time,
        turn_id: event.turn_id, parent_tool_call_id: body.parent_tool_call_id || null, text: '',
        done: false, partial: false, duration_ms: null
      };
      this.add(key, item);
    }
    if (body.type === 'agent_thought_chunk') {
      this.set(key, { ...item, text: item.text + body.text });
      return;
    }
    this.set(key, {
      ...item, text: textOf(body.content), done: true, partial: body.partial === true,
      duration_ms: body.duration_ms
    });
  }

  private toolCall(event: Event, body: BodyOf<'tool_call'>): void {
    // An agent may announce the same call twice (from the call and from its permission request):
    // the second adds to the first.
    const key = `tool:${body.tool_call_id}`;
    this.remember(key, event);
    const found = this.find(key);
    const { title, name, target, kind, raw_input, status } = body;
    const ended_at = settled(status) ? event.time : null;
    if (found?.type === 'tool_call') {
      this.set(key, {
        ...found, title, name, target, kind, raw_input,
        content: body.content.length ? body.content : found.content,
        locations: body.locations.length ? body.locations : found.locations,
        ...(found.ended_at === null ? { status, ended_at } : {})
      });
      return;
    }
    this.add(key, {
      type: 'tool_call', id: body.tool_call_id, seq: event.seq, time: event.time,
      turn_id: event.turn_id, title, name, target, kind, status, raw_input, raw_output: null,
      content: body.content, locations: body.locations,
      parent_tool_call_id: body.parent_tool_call_id, started_at: event.time, ended_at
    });
  }

  private toolUpdate(event: Event, body: BodyOf<'tool_call_update'>): void {
    const key = `tool:${body.tool_call_id}`;
    this.remember(key, event);
    const found = this.find(key);
    if (found?.type !== 'tool_call') {
      return; // its call lies before the part of the log that was read
    }
    const { type: _type, tool_call_id: _id, ...changed } = body;
    const ended_at =
      body.status === undefined ? found.ended_at : settled(body.status) ? event.time : null;
    this.set(key, { ...found, ...changed, ended_at });
  }

  private notice(event: Event, body: BodyOf<'notice'>): void {
    const { level, code, text } = body;
    const { seq, time, turn_id } = event;
    const key = body.key === undefined ? `notice:${seq}` : `notice:${pythonic(turn_id)}:${body.key}`;
    const found = this.find(key);
    if (found?.type === 'notice') {
      this.set(key, { ...found, level, code, text });
      return;
    }
    this.add(key, { type: 'notice', id: key, seq, time, turn_id, level, code, text });
  }
}

/** A missing turn is spelled as Python spells it, since keys are part of the shared JSON. */
const pythonic = (turn: string | null): string => turn ?? 'None';

/** One item of two halves, at the first one's place; undefined: they are two items. */
function join(first: Item, then: Item): Item | undefined {
  const { id, seq, time, turn_id } = first;
  const at = { id, seq, time, turn_id };
  if (first.type === 'agent_message' && then.type === 'agent_message') {
    const { parent_tool_call_id } = first;
    return then.done
      ? { ...then, ...at, parent_tool_call_id }
      : { ...first, text: first.text + then.text };
  }
  if (first.type === 'agent_thought' && then.type === 'agent_thought') {
    const { parent_tool_call_id } = first;
    return then.done
      ? { ...then, ...at, parent_tool_call_id }
      : { ...first, text: first.text + then.text };
  }
  if (first.type === 'plan' && then.type === 'plan') {
    return { ...then, ...at };
  }
  if (first.type === 'notice' && then.type === 'notice') {
    return { ...then, ...at };
  }
  return undefined;
}

/** The request with what became known about it. */
function amended(
  request: BodyOf<'permission_request'>, update: BodyOf<'permission_updated'>
): BodyOf<'permission_request'> {
  const { type: _type, request_id: _id, ...known } = update;
  return { ...request, ...known };
}

/** The session object after one event. */
export function foldSession(session: Session, event: Event): Session {
  const { body } = event;
  const now: Session = { ...session, last_seq: event.seq, updated_at: event.time };
  switch (body.type) {
    case 'session_updated': {
      const { type: _type, ...changed } = body;
      return { ...now, ...changed };
    }
    case 'queue_updated':
      return { ...now, queue: body.items };
    case 'usage': {
      const { type: _type, ...usage } = body;
      return { ...now, usage };
    }
    case 'permission_request':
      return session.pending_permissions.some(p => p.request_id === body.request_id)
        ? now
        : { ...now, pending_permissions: [...session.pending_permissions, body] };
    case 'permission_updated': {
      const pending_permissions = session.pending_permissions.map(p =>
        p.request_id === body.request_id ? amended(p, body) : p
      );
      return { ...now, pending_permissions };
    }
    case 'permission_resolved': {
      const pending_permissions = session.pending_permissions.filter(
        p => p.request_id !== body.request_id
      );
      return { ...now, pending_permissions };
    }
    default:
      return now;
  }
}

/** The transcript of a session from its events, oldest first. */
export function fold(session: Session, events: Iterable<Event>): Transcript {
  const folding = new Fold(session);
  for (const event of events) {
    folding.push(event);
  }
  return folding.transcript;
}
