/**
 * What crosses the wire, as the browser sees it: the twin of `agent_lab/protocol/events.py` and
 * `commands.py`. A frame is parsed once here, with the same defaults; past this edge everything is typed.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type StopReason =
  | 'end_turn' | 'max_tokens' | 'max_turn_requests' | 'refusal' | 'cancelled' | 'error';
export type ToolKind =
  | 'read' | 'edit' | 'delete' | 'move' | 'search' | 'execute' | 'think' | 'fetch' | 'other';
export type ToolStatus = 'pending' | 'in_progress' | 'completed' | 'failed' | 'cancelled';
export type OptionKind = 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
export type Origin =
  | 'composer' | 'magic' | 'notebook' | 'terminal' | 'review' | 'api' | 'cli' | 'agent';
export type Status =
  | 'starting' | 'idle' | 'running' | 'awaiting_permission' | 'cancelling' | 'stopped' | 'failed'
  | 'ended';
export type CostSource = 'agent' | 'estimate' | null;

// ---------------------------------------------------------------- parts

export interface TextBlock { readonly type: 'text'; readonly text: string }
export interface ImageBlock { readonly type: 'image'; readonly mime_type: string; readonly data: string }
export interface ResourceBlock {
  readonly type: 'resource';
  readonly uri: string;
  readonly name: string;
  readonly mime_type: string;
  readonly text: string;
}
export type ContentBlock = TextBlock | ImageBlock | ResourceBlock;

export interface DiffBlock {
  readonly type: 'diff';
  readonly path: string;
  readonly old_text: string | null;
  readonly new_text: string;
  readonly line: number | null;
}
export interface TerminalBlock {
  readonly type: 'terminal';
  readonly command: string;
  readonly output: string;
  readonly exit_code: number | null;
}
/**
 * What becomes of one cell. Insert: `cell_id` is the id it will have. `after_cell_id` "": at the top. What it
 * takes to put the cell back is null in logs that were written before: `old_after_cell_id` is where a cell stood
 * that is deleted or moved, `old_cell_type` what an edited one was.
 */
export interface CellChange {
  readonly operation: 'insert' | 'edit' | 'delete' | 'move';
  readonly notebook: string;
  readonly cell_id: string;
  readonly cell_type: string;
  readonly old_source: string | null;
  readonly new_source: string | null;
  readonly after_cell_id: string | null;
  readonly old_after_cell_id: string | null;
  readonly old_cell_type: string | null;
}
export interface CellDiffBlock { readonly type: 'cell_diff'; readonly change: CellChange }
export type ToolContent = ContentBlock | DiffBlock | TerminalBlock | CellDiffBlock;

/** Something that running a cell would do. */
export interface Effect {
  readonly kind: 'rebinds' | 'deletes' | 'writes' | 'installs' | 'runs' | 'unknown';
  readonly name: string;
  readonly detail: string;
  readonly certain: boolean;
}
/** One version of a cell as it was tried: `memory` in bytes, `outputs` are nbformat's. */
export interface TrialSide {
  readonly status: 'ok' | 'error' | 'timeout' | 'memory' | 'signal';
  readonly seconds: number;
  readonly memory: number | null;
  readonly outputs: readonly { readonly [key: string]: Json }[];
  readonly text: string;
  readonly error: string;
}
export interface Trial {
  readonly status: 'running' | 'done' | 'refused' | 'failed';
  readonly reason: string;
  readonly before: TrialSide | null;
  readonly after: TrialSide | null;
  /** The person's own version that was tried; null: the proposed one. */
  readonly source: string | null;
}

export interface Location { readonly path: string; readonly line?: number }

export type ContextType =
  | 'cell' | 'output' | 'error' | 'variable' | 'selection' | 'terminal' | 'file' | 'diff' | 'since'
  | 'trial';
/** Something sent along with a prompt. Absent fields are empty. */
export interface ContextItem {
  readonly type: ContextType;
  readonly label?: string;
  readonly text?: string;
  readonly notebook?: string;
  readonly cell_id?: string;
  readonly execution_count?: number;
  readonly source?: string;
  readonly ename?: string;
  readonly evalue?: string;
  readonly traceback?: string;
  readonly name?: string;
  readonly path?: string;
  readonly line?: number;
  readonly terminal?: string;
  readonly mime_type?: string;
}

export interface PlanEntry {
  readonly content: string;
  readonly status: 'pending' | 'in_progress' | 'completed';
  readonly priority: 'high' | 'medium' | 'low';
}
export type DialLevel = 'off' | 'schema' | 'summary' | 'sample' | 'full';
/** What may leave a folder's kernels: what a person attaches (`sent`), what tools tell (`read`). */
export interface ContextDial {
  readonly sent: DialLevel;
  readonly read: DialLevel;
  readonly masks: readonly string[];
  readonly columns: readonly string[];
  readonly since: boolean;
}
/** The session whose history up to `seq` this one began with. */
export interface ForkedFrom { readonly session_id: string; readonly seq: number }
export interface PermissionOption {
  readonly option_id: string;
  readonly kind: OptionKind;
  readonly label: string;
  readonly scope: string;
}
export interface QuestionChoice { readonly label: string; readonly description: string }
export interface Question {
  readonly question: string;
  readonly header: string;
  readonly multiple: boolean;
  readonly choices: readonly QuestionChoice[];
}
export interface QueueItem {
  readonly id: string;
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
  readonly origin: Origin;
  /** Kinds of context that the server does not add by itself. */
  readonly without?: readonly string[];
}
export interface TurnError {
  readonly message: string;
  readonly reason: string;
  readonly retryable: boolean;
  readonly detail: string;
}
export interface TurnUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_tokens: number;
  readonly cache_write_tokens: number;
  readonly cost_usd: number | null;
  readonly cost_source: CostSource;
}
export interface SessionUsage extends TurnUsage {
  readonly turns: number;
  readonly context_used: number | null;
  readonly context_size: number | null;
}
export interface Model { readonly id: string; readonly name: string; readonly efforts: readonly string[] }
export interface SlashCommand { readonly name: string; readonly description: string; readonly hint: string }
export interface Workspace {
  readonly path: string;
  readonly cwd: string;
  readonly branch: string | null;
  readonly worktree: string | null;
  readonly trusted: boolean;
}
export interface Notebook { readonly path: string; readonly kernel_id: string | null }

// ---------------------------------------------------------------- events

export interface SessionUpdated {
  readonly type: 'session_updated';
  readonly title?: string;
  readonly agent?: string;
  readonly agent_session_id?: string | null;
  readonly workspace?: Workspace;
  readonly notebook?: Notebook | null;
  readonly mode?: 'structured' | 'terminal';
  readonly status?: Status;
  readonly status_reason?: string | null;
  readonly model?: string | null;
  readonly models?: readonly Model[];
  readonly permission_mode?: string;
  readonly permission_modes?: readonly string[];
  readonly effort?: string | null;
  readonly efforts?: readonly string[];
  readonly commands?: readonly SlashCommand[];
  readonly parent_id?: string | null;
  readonly terminal?: string | null;
  readonly forked_from?: ForkedFrom | null;
  readonly unseen?: boolean;
  readonly demo?: boolean;
  readonly dial?: ContextDial;
}
export interface UserMessage {
  readonly type: 'user_message';
  readonly message_id: string;
  readonly content: readonly ContentBlock[];
  readonly context: readonly ContextItem[];
  readonly origin: Origin;
}
export interface TurnStarted { readonly type: 'turn_started'; readonly origin: Origin }
export interface TurnEnded {
  readonly type: 'turn_ended';
  readonly stop_reason: StopReason;
  readonly error: TurnError | null;
  readonly usage: TurnUsage;
  readonly duration_ms: number | null;
}
export interface AgentMessageChunk {
  readonly type: 'agent_message_chunk';
  readonly message_id: string;
  readonly text: string;
  readonly parent_tool_call_id?: string;
}
export interface AgentMessage {
  readonly type: 'agent_message';
  readonly message_id: string;
  readonly content: readonly ContentBlock[];
  readonly parent_tool_call_id?: string;
  readonly partial?: boolean;
}
export interface AgentThoughtChunk {
  readonly type: 'agent_thought_chunk';
  readonly message_id: string;
  readonly text: string;
  readonly parent_tool_call_id?: string;
}
export interface AgentThought {
  readonly type: 'agent_thought';
  readonly message_id: string;
  readonly content: readonly ContentBlock[];
  readonly duration_ms: number | null;
  readonly parent_tool_call_id?: string;
  readonly partial?: boolean;
}
/** `title` says what is done to what ("Read orders.csv"); `target` is its end, set in code type. */
export interface ToolCall {
  readonly type: 'tool_call';
  readonly tool_call_id: string;
  readonly title: string;
  readonly name: string;
  readonly target: string;
  readonly kind: ToolKind;
  readonly status: ToolStatus;
  readonly raw_input: Json;
  readonly content: readonly ToolContent[];
  readonly locations: readonly Location[];
  readonly parent_tool_call_id: string | null;
}
export interface ToolCallUpdate {
  readonly type: 'tool_call_update';
  readonly tool_call_id: string;
  readonly title?: string;
  readonly kind?: ToolKind;
  readonly status?: ToolStatus;
  readonly raw_input?: Json;
  readonly raw_output?: Json;
  readonly content?: readonly ToolContent[];
  readonly locations?: readonly Location[];
}
export interface Plan { readonly type: 'plan'; readonly entries: readonly PlanEntry[] }
export interface PermissionRequest {
  readonly type: 'permission_request';
  readonly request_id: string;
  readonly kind: 'tool' | 'question' | 'plan' | 'cell_change';
  readonly title: string;
  readonly options: readonly PermissionOption[];
  readonly tool_call_id: string | null;
  readonly description: string;
  readonly input: Json;
  readonly questions: readonly Question[];
  readonly change: CellChange | null;
  /** null: not known (yet). */
  readonly effects: readonly Effect[] | null;
  readonly trial: Trial | null;
}
export interface PermissionUpdated {
  readonly type: 'permission_updated';
  readonly request_id: string;
  readonly effects?: readonly Effect[];
  readonly trial?: Trial;
}
export interface PermissionResolved {
  readonly type: 'permission_resolved';
  readonly request_id: string;
  readonly outcome: 'selected' | 'cancelled';
  readonly option_id: string | null;
  readonly message: string | null;
  readonly by: string;
  readonly updated_input: Json;
  readonly answers: Readonly<Record<string, string>> | null;
  /** What the agent is told of the request's trial, behind the person's message. */
  readonly trial: string | null;
}
export interface QueueUpdated { readonly type: 'queue_updated'; readonly items: readonly QueueItem[] }
export interface Usage extends SessionUsage { readonly type: 'usage' }
export interface Notice {
  readonly type: 'notice';
  readonly level: 'info' | 'warning' | 'error';
  readonly code: string;
  readonly text: string;
  readonly key?: string;
}
export interface AgentExited {
  readonly type: 'agent_exited';
  readonly code: number | null;
  readonly signal: number | null;
  readonly expected: boolean;
  readonly stderr: string;
}
export interface AgentOutputInvalid {
  readonly type: 'agent_output_invalid';
  readonly excerpt: string;
  readonly reason: string;
  readonly length: number;
}
export interface ReviewStarted {
  readonly type: 'review_started';
  readonly review_id: string;
  readonly child_id: string;
  readonly anchor_seq: number;
}
export interface ReviewEnded {
  readonly type: 'review_ended';
  readonly review_id: string;
  readonly child_id: string;
  readonly anchor_seq: number;
}
export interface Unknown { readonly type: 'unknown'; readonly raw: Json }

export type Body =
  | SessionUpdated | UserMessage | TurnStarted | TurnEnded | AgentMessageChunk | AgentMessage
  | AgentThoughtChunk | AgentThought | ToolCall | ToolCallUpdate | Plan | PermissionRequest
  | PermissionUpdated | PermissionResolved | QueueUpdated | Usage | Notice | AgentExited | AgentOutputInvalid
  | ReviewStarted | ReviewEnded | Unknown;

/** An event: the flat object of the wire, parted into its envelope and its body. */
export interface Event {
  readonly seq: number;
  readonly session_id: string;
  readonly turn_id: string | null;
  readonly time: string;
  readonly body: Body;
}

export interface Session {
  readonly id: string;
  readonly title: string;
  readonly agent: string;
  readonly agent_session_id: string | null;
  readonly workspace: Workspace;
  readonly notebook: Notebook | null;
  readonly mode: 'structured' | 'terminal';
  readonly status: Status;
  readonly status_reason: string | null;
  readonly model: string | null;
  readonly models: readonly Model[];
  readonly permission_mode: string;
  readonly permission_modes: readonly string[];
  readonly effort: string | null;
  readonly efforts: readonly string[];
  readonly commands: readonly SlashCommand[];
  readonly usage: SessionUsage;
  readonly queue: readonly QueueItem[];
  readonly pending_permissions: readonly PermissionRequest[];
  readonly parent_id: string | null;
  readonly terminal: string | null;
  readonly forked_from: ForkedFrom | null;
  /** A turn ended while nobody looked. */
  readonly unseen: boolean;
  readonly demo: boolean;
  readonly dial?: ContextDial;
  readonly created_at: string;
  readonly updated_at: string;
  readonly last_seq: number;
}

// ---------------------------------------------------------------- frames

export interface Hello {
  readonly type: 'hello';
  readonly protocol: number;
  readonly session: Session;
  readonly first_seq: number;
  readonly last_seq: number;
}
export interface Ack { readonly type: 'ack'; readonly id: string }
export interface Reject {
  readonly type: 'reject';
  readonly id: string;
  readonly reason: string;
  readonly message: string;
}
export type Frame = Hello | Ack | Reject | { readonly type: 'event'; readonly event: Event };
/** A text that is no frame of ours, with the reason. */
export interface Bad { readonly type: 'bad'; readonly message: string }

// ---------------------------------------------------------------- commands

export interface PromptCommand {
  readonly type: 'prompt';
  readonly content: readonly ContentBlock[];
  readonly context?: readonly ContextItem[];
  readonly without?: readonly 'since'[];
}
export interface AnswerCommand {
  readonly type: 'answer_permission';
  readonly request_id: string;
  readonly option_id: string;
  readonly message?: string;
  readonly updated_input?: Json;
  readonly answers?: Readonly<Record<string, string>>;
  /** The agent is told what the request's trial showed. */
  readonly trial?: boolean;
}
export interface SetCommand {
  readonly type: 'set';
  readonly model?: string;
  readonly permission_mode?: string;
  readonly effort?: string;
  readonly title?: string;
}
export type Command =
  | PromptCommand
  | { readonly type: 'cancel' }
  | AnswerCommand
  | { readonly type: 'queue_edit'; readonly item_id: string; readonly content: readonly ContentBlock[] }
  | { readonly type: 'queue_remove'; readonly item_id: string }
  | { readonly type: 'queue_send_now'; readonly item_id: string }
  | SetCommand
  | { readonly type: 'look'; readonly visible: boolean }
  | { readonly type: 'ping' };

// ---------------------------------------------------------------- decoders

/** Turns an unknown value into a T, or throws `Mismatch`. `undefined` stands for an absent field. */
type Decoder<T> = (value: unknown) => T;
class Mismatch extends Error {}

const fail = (wanted: string): never => {
  throw new Mismatch(`expected ${wanted}`);
};
const str: Decoder<string> = v => (typeof v === 'string' ? v : fail('a string'));
const num: Decoder<number> = v => (typeof v === 'number' ? v : fail('a number'));
const int: Decoder<number> = v => (Number.isInteger(v) ? (v as number) : fail('an integer'));
const bool: Decoder<boolean> = v => (typeof v === 'boolean' ? v : fail('true or false'));
const json: Decoder<Json> = v => (v === undefined ? fail('a value') : (v as Json));

const oneOf =
  <const T extends readonly string[]>(...names: T): Decoder<T[number]> =>
  v =>
    names.includes(v as string) ? (v as T[number]) : fail(names.join(' or '));
const orNull =
  <T>(decode: Decoder<T>): Decoder<T | null> =>
  v =>
    v === null ? null : decode(v);
/** Filled in when absent, as a default of the Python type is. */
const or =
  <T>(decode: Decoder<T>, fallback: T): Decoder<T> =>
  v =>
    v === undefined ? fallback : decode(v);
/** Stays absent when absent: the field did not change. */
const maybe =
  <T>(decode: Decoder<T>): Decoder<T | undefined> =>
  v =>
    v === undefined ? undefined : decode(v);
/** Left out when it says nothing: the Python type omits its defaults. */
const sparse =
  <T>(decode: Decoder<T>, nothing: T | null): Decoder<T | undefined> =>
  v =>
    v === undefined || v === nothing ? undefined : decode(v);
const list =
  <T>(decode: Decoder<T>): Decoder<readonly T[]> =>
  v =>
    Array.isArray(v) ? v.map(decode) : fail('a list');
const none: readonly never[] = [];
const listOr = <T>(decode: Decoder<T>): Decoder<readonly T[]> => or(list(decode), none);

const isObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

type Fields<T> = {
  [K in keyof T]-?: Decoder<object extends Pick<T, K> ? T[K] | undefined : T[K]>;
};
/** Fields that are not named are dropped, as the Python types drop them. */
function struct<T>(fields: Fields<T>): Decoder<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return v => {
    if (!isObject(v)) {
      return fail('an object');
    }
    const made: Partial<T> = {};
    for (const name of names) {
      const value = fields[name](Object.hasOwn(v, name) ? v[name] : undefined);
      if (value !== undefined) {
        made[name] = value as T[typeof name];
      }
    }
    return made as T;
  };
}
const tag = <const N extends string>(name: N): Decoder<N> => () => name;
function tagged<T extends { readonly type: string }>(
  kinds: { readonly [K in T['type']]: Decoder<Extract<T, { readonly type: K }>> }
): Decoder<T> {
  return v => {
    const type = isObject(v) ? v['type'] : undefined;
    if (typeof type !== 'string' || !Object.hasOwn(kinds, type)) {
      return fail('a known type');
    }
    return (kinds as Record<string, Decoder<T>>)[type]!(v);
  };
}

const textBlock = struct<TextBlock>({ type: tag('text'), text: str });
const imageBlock = struct<ImageBlock>({ type: tag('image'), mime_type: str, data: str });
const resourceBlock = struct<ResourceBlock>({
  type: tag('resource'), uri: str, name: or(str, ''), mime_type: or(str, 'text/plain'), text: or(str, '')
});
const contentBlock = tagged<ContentBlock>({
  text: textBlock, image: imageBlock, resource: resourceBlock
});
const cellChange = struct<CellChange>({
  operation: oneOf('insert', 'edit', 'delete', 'move'), notebook: str, cell_id: str,
  cell_type: or(str, 'code'), old_source: or(orNull(str), null), new_source: or(orNull(str), null),
  after_cell_id: or(orNull(str), null), old_after_cell_id: or(orNull(str), null), old_cell_type: or(orNull(str), null)
});
const toolContent = tagged<ToolContent>({
  text: textBlock,
  image: imageBlock,
  resource: resourceBlock,
  diff: struct<DiffBlock>({
    type: tag('diff'), path: str, old_text: orNull(str), new_text: str, line: or(orNull(int), null)
  }),
  terminal: struct<TerminalBlock>({
    type: tag('terminal'), command: str, output: or(str, ''), exit_code: or(orNull(int), null)
  }),
  cell_diff: struct<CellDiffBlock>({ type: tag('cell_diff'), change: cellChange })
});
const effect = struct<Effect>({
  kind: oneOf('rebinds', 'deletes', 'writes', 'installs', 'runs', 'unknown'), name: str,
  detail: or(str, ''), certain: or(bool, true)
});
const output: Decoder<{ readonly [key: string]: Json }> = v =>
  isObject(v) ? (v as { [key: string]: Json }) : fail('an object');
const trialSide = struct<TrialSide>({
  status: oneOf('ok', 'error', 'timeout', 'memory', 'signal'), seconds: num,
  memory: or(orNull(int), null), outputs: listOr(output), text: or(str, ''), error: or(str, '')
});
const trial = struct<Trial>({
  status: oneOf('running', 'done', 'refused', 'failed'), reason: or(str, ''),
  before: or(orNull(trialSide), null), after: or(orNull(trialSide), null), source: or(orNull(str), null)
});
const location_ = struct<Location>({ path: str, line: sparse(int, null) });
const contextItem = struct<ContextItem>({
  type: oneOf(
    'cell', 'output', 'error', 'variable', 'selection', 'terminal', 'file', 'diff', 'since', 'trial'
  ),
  label: sparse(str, ''), text: sparse(str, ''), notebook: sparse(str, ''), cell_id: sparse(str, ''),
  execution_count: sparse(int, null), source: sparse(str, ''), ename: sparse(str, ''),
  evalue: sparse(str, ''), traceback: sparse(str, ''), name: sparse(str, ''), path: sparse(str, ''),
  line: sparse(int, null), terminal: sparse(str, ''), mime_type: sparse(str, '')
});
const origin = oneOf('composer', 'magic', 'notebook', 'terminal', 'review', 'api', 'cli', 'agent');
const toolKind = oneOf(
  'read', 'edit', 'delete', 'move', 'search', 'execute', 'think', 'fetch', 'other'
);
const toolStatus = oneOf('pending', 'in_progress', 'completed', 'failed', 'cancelled');
const status = oneOf(
  'starting', 'idle', 'running', 'awaiting_permission', 'cancelling', 'stopped', 'failed', 'ended'
);
const mode = oneOf('structured', 'terminal');
const dialLevel = oneOf('off', 'schema', 'summary', 'sample', 'full');
const contextDial = struct<ContextDial>({
  sent: or(dialLevel, 'full'), read: or(dialLevel, 'sample'), masks: listOr(str), columns: listOr(str),
  since: or(bool, true)
});
const forkedFrom = struct<ForkedFrom>({ session_id: str, seq: int });
const costSource = or(orNull(oneOf('agent', 'estimate')), null);
const planEntry = struct<PlanEntry>({
  content: str,
  status: or(oneOf('pending', 'in_progress', 'completed'), 'pending'),
  priority: or(oneOf('high', 'medium', 'low'), 'medium')
});
const permissionOption = struct<PermissionOption>({
  option_id: str,
  kind: oneOf('allow_once', 'allow_always', 'reject_once', 'reject_always'),
  label: str,
  scope: or(str, '')
});
const question = struct<Question>({
  question: str,
  header: or(str, ''),
  multiple: or(bool, false),
  choices: listOr(struct<QuestionChoice>({ label: str, description: or(str, '') }))
});
const queueItem = struct<QueueItem>({
  id: str, content: list(contentBlock), context: listOr(contextItem), origin: or(origin, 'composer'),
  without: maybe(list(str))
});
const turnError = struct<TurnError>({
  message: str, reason: str, retryable: or(bool, true), detail: or(str, '')
});
const turnUsageFields: Fields<TurnUsage> = {
  input_tokens: or(int, 0), output_tokens: or(int, 0), cache_read_tokens: or(int, 0),
  cache_write_tokens: or(int, 0), cost_usd: or(orNull(num), null), cost_source: costSource
};
const turnUsage = struct<TurnUsage>(turnUsageFields);
const sessionUsageFields: Fields<SessionUsage> = {
  turns: or(int, 0),
  ...turnUsageFields,
  context_used: or(orNull(int), null),
  context_size: or(orNull(int), null)
};
const sessionUsage = struct<SessionUsage>(sessionUsageFields);
const model = struct<Model>({ id: str, name: str, efforts: listOr(str) });
const slashCommand = struct<SlashCommand>({ name: str, description: or(str, ''), hint: or(str, '') });
const workspace = struct<Workspace>({
  path: str, cwd: str, branch: or(orNull(str), null), worktree: or(orNull(str), null),
  trusted: or(bool, true)
});
const notebook = struct<Notebook>({ path: str, kernel_id: or(orNull(str), null) });
const permissionRequest = struct<PermissionRequest>({
  type: tag('permission_request'), request_id: str, kind: oneOf('tool', 'question', 'plan', 'cell_change'),
  title: str, options: list(permissionOption), tool_call_id: or(orNull(str), null),
  description: or(str, ''), input: or(json, null), questions: listOr(question),
  change: or(orNull(cellChange), null), effects: or(orNull(list(effect)), null),
  trial: or(orNull(trial), null)
});
const answers: Decoder<Readonly<Record<string, string>>> = v =>
  isObject(v) && Object.values(v).every(each => typeof each === 'string')
    ? (v as Record<string, string>)
    : fail('answers');
const review = { review_id: str, child_id: str, anchor_seq: int };

const body = tagged<Exclude<Body, Unknown>>({
  session_updated: struct<SessionUpdated>({
    type: tag('session_updated'), title: maybe(str), agent: maybe(str),
    agent_session_id: maybe(orNull(str)), workspace: maybe(workspace),
    notebook: maybe(orNull(notebook)), mode: maybe(mode), status: maybe(status),
    status_reason: maybe(orNull(str)), model: maybe(orNull(str)), models: maybe(list(model)),
    permission_mode: maybe(str), permission_modes: maybe(list(str)), effort: maybe(orNull(str)),
    efforts: maybe(list(str)), commands: maybe(list(slashCommand)), parent_id: maybe(orNull(str)),
    terminal: maybe(orNull(str)), forked_from: maybe(orNull(forkedFrom)), unseen: maybe(bool),
    demo: maybe(bool), dial: maybe(contextDial)
  }),
  user_message: struct<UserMessage>({
    type: tag('user_message'), message_id: str, content: list(contentBlock),
    context: listOr(contextItem), origin: or(origin, 'composer')
  }),
  turn_started: struct<TurnStarted>({ type: tag('turn_started'), origin: or(origin, 'composer') }),
  turn_ended: struct<TurnEnded>({
    type: tag('turn_ended'),
    stop_reason: oneOf(
      'end_turn', 'max_tokens', 'max_turn_requests', 'refusal', 'cancelled', 'error'
    ),
    error: or(orNull(turnError), null),
    usage: v => turnUsage(v === undefined ? {} : v),
    duration_ms: or(orNull(int), null)
  }),
  agent_message_chunk: struct<AgentMessageChunk>({
    type: tag('agent_message_chunk'), message_id: str, text: str, parent_tool_call_id: maybe(str)
  }),
  agent_message: struct<AgentMessage>({
    type: tag('agent_message'), message_id: str, content: list(contentBlock),
    parent_tool_call_id: maybe(str), partial: maybe(bool)
  }),
  agent_thought_chunk: struct<AgentThoughtChunk>({
    type: tag('agent_thought_chunk'), message_id: str, text: str, parent_tool_call_id: maybe(str)
  }),
  agent_thought: struct<AgentThought>({
    type: tag('agent_thought'), message_id: str, content: list(contentBlock),
    duration_ms: or(orNull(int), null), parent_tool_call_id: maybe(str), partial: maybe(bool)
  }),
  tool_call: struct<ToolCall>({
    type: tag('tool_call'), tool_call_id: str, title: str, name: str, target: or(str, ''),
    kind: or(toolKind, 'other'), status: or(toolStatus, 'pending'), raw_input: or(json, null),
    content: listOr(toolContent), locations: listOr(location_),
    parent_tool_call_id: or(orNull(str), null)
  }),
  tool_call_update: struct<ToolCallUpdate>({
    type: tag('tool_call_update'), tool_call_id: str, title: maybe(str), kind: maybe(toolKind),
    status: maybe(toolStatus), raw_input: maybe(json), raw_output: maybe(json),
    content: maybe(list(toolContent)), locations: maybe(list(location_))
  }),
  plan: struct<Plan>({ type: tag('plan'), entries: list(planEntry) }),
  permission_request: permissionRequest,
  permission_updated: struct<PermissionUpdated>({
    type: tag('permission_updated'), request_id: str, effects: maybe(list(effect)),
    trial: maybe(trial)
  }),
  permission_resolved: struct<PermissionResolved>({
    type: tag('permission_resolved'), request_id: str, outcome: oneOf('selected', 'cancelled'),
    option_id: or(orNull(str), null), message: or(orNull(str), null), by: or(str, 'user'),
    updated_input: or(json, null), answers: or(orNull(answers), null), trial: or(orNull(str), null)
  }),
  queue_updated: struct<QueueUpdated>({ type: tag('queue_updated'), items: list(queueItem) }),
  usage: struct<Usage>({ type: tag('usage'), ...sessionUsageFields }),
  notice: struct<Notice>({
    type: tag('notice'), level: oneOf('info', 'warning', 'error'), code: str, text: str,
    key: maybe(str)
  }),
  agent_exited: struct<AgentExited>({
    type: tag('agent_exited'), code: orNull(int), signal: orNull(int), expected: bool,
    stderr: or(str, '')
  }),
  agent_output_invalid: struct<AgentOutputInvalid>({
    type: tag('agent_output_invalid'), excerpt: str, reason: or(str, 'not_json'), length: or(int, 0)
  }),
  review_started: struct<ReviewStarted>({ type: tag('review_started'), ...review }),
  review_ended: struct<ReviewEnded>({ type: tag('review_ended'), ...review })
});
const unknown = struct<Unknown>({ type: tag('unknown'), raw: json });

const session = struct<Session>({
  id: str, title: str, agent: str, agent_session_id: orNull(str), workspace,
  notebook: or(orNull(notebook), null), mode: or(mode, 'structured'), status: or(status, 'stopped'),
  status_reason: or(orNull(str), null), model: or(orNull(str), null), models: listOr(model),
  permission_mode: or(str, 'default'),
  permission_modes: or(list(str), ['default', 'acceptEdits', 'plan']),
  effort: or(orNull(str), null), efforts: listOr(str), commands: listOr(slashCommand),
  usage: v => sessionUsage(v === undefined ? {} : v), queue: listOr(queueItem),
  pending_permissions: listOr(permissionRequest), parent_id: or(orNull(str), null),
  terminal: or(orNull(str), null), forked_from: or(orNull(forkedFrom), null),
  unseen: or(bool, false), demo: or(bool, false), dial: maybe(contextDial), created_at: str, updated_at: str,
  last_seq: or(int, 0)
});
const hello = struct<Hello>({
  type: tag('hello'), protocol: int, session, first_seq: int, last_seq: int
});
const ack = struct<Ack>({ type: tag('ack'), id: str });
const reject = struct<Reject>({
  type: tag('reject'), id: str, reason: or(str, 'invalid'), message: or(str, '')
});

function decodeBody(value: Record<string, unknown>): Body {
  try {
    return value['type'] === 'unknown' ? unknown(value) : body(value);
  } catch (error) {
    if (error instanceof Mismatch) {
      return { type: 'unknown', raw: value as Json };
    }
    throw error;
  }
}

/** An event from its flat JSON object; a body this version does not know becomes `unknown`. */
export function decodeEvent(value: unknown): Event | Bad {
  try {
    const object = isObject(value) ? value : fail('an object');
    return {
      seq: int(object['seq']),
      session_id: str(object['session_id']),
      turn_id: orNull(str)(object['turn_id']),
      time: str(object['time']),
      body: decodeBody(object)
    };
  } catch (error) {
    return bad(error);
  }
}

export function decodeSession(value: unknown): Session | Bad {
  try {
    return session(value);
  } catch (error) {
    return bad(error);
  }
}

export function parseFrame(text: string): Frame | Bad {
  try {
    const value: unknown = JSON.parse(text);
    switch (isObject(value) ? value['type'] : fail('an object')) {
      case 'hello':
        return hello(value);
      case 'ack':
        return ack(value);
      case 'reject':
        return reject(value);
      default: {
        const event = decodeEvent(value);
        return 'type' in event ? event : { type: 'event', event };
      }
    }
  } catch (error) {
    return bad(error);
  }
}

/** The events of an `events` page, oldest first; what cannot be read is left out. */
export function decodeEvents(value: unknown): { events: Event[]; more: boolean } {
  const page = isObject(value) ? value : {};
  const raw = Array.isArray(page['events']) ? (page['events'] as unknown[]) : [];
  const events = raw.map(decodeEvent).filter((e): e is Event => !('type' in e));
  return { events, more: page['more'] === true };
}

function bad(error: unknown): Bad {
  if (error instanceof Mismatch || error instanceof SyntaxError) {
    return { type: 'bad', message: error.message };
  }
  throw error;
}
