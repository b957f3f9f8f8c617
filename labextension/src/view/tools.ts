/** How a tool call is told in one line: icon, name, target, result. Pure. */

import type { DiffBlock, Json, ToolContent } from '../protocol.js';
import type { ToolItem } from '../transcript.js';
import { cellDiffs } from './cellChangeWords.js';
import { diffCounts } from './diffLines.js';
import { firstLine } from './format.js';
import { t } from './i18n.js';
import type { IconName } from './icons.js';

export type Fields = Readonly<Record<string, Json>>;

export const fieldsOf = (value: Json): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};

/** A text field of a tool's input; "" when there is none. */
export function field(input: Json, ...names: readonly string[]): string {
  const fields = fieldsOf(input);
  for (const name of names) {
    const value = fields[name];
    if (typeof value === 'string' && value) {
      return value;
    }
  }
  return '';
}

const NAMES: Readonly<Record<string, string>> = {
  NotebookEdit: 'Edit notebook', WebFetch: 'Fetch', WebSearch: 'Search the web', Grep: 'Search',
  Glob: 'Find files', Agent: 'Sub-agent', Task: 'Sub-agent', TodoWrite: 'Update the to-do list',
  TaskCreate: 'Add to the to-do list', TaskUpdate: 'Update the to-do list', TaskGet: 'Look at the to-do list',
  TaskList: 'Look at the to-do list',
  ExitPlanMode: 'Plan', EnterPlanMode: 'Start planning', AskUserQuestion: 'Question',
  ToolSearch: 'Look for a tool', MultiEdit: 'Edit', LS: 'List'
};

/** A tool's name as a person says it: `mcp__agent_lab__run_cell` is "Run cell". */
export function toolName(item: ToolItem): string {
  const { name, title, target } = item;
  if (target && title.endsWith(target) && title.length > target.length) {
    return title.slice(0, -target.length).trim();
  }
  if (name.startsWith('mcp__')) {
    const last = name.slice(name.lastIndexOf('__') + 2).replaceAll('_', ' ');
    return last.charAt(0).toUpperCase() + last.slice(1);
  }
  return t(NAMES[name] ?? (name || title));
}

const ICONS: Readonly<Record<ToolItem['kind'], IconName>> = {
  read: 'read', edit: 'edit', delete: 'trash', move: 'back', search: 'search', execute: 'shell',
  think: 'think', fetch: 'globe', other: 'gear'
};

export function toolIcon(item: ToolItem): IconName {
  if (isSubAgent(item)) {
    return 'branch';
  }
  const last = item.name.slice(item.name.lastIndexOf('__') + 2);
  if (item.name.startsWith('mcp__')) {
    if (last.includes('variable')) {
      return 'variables';
    }
    if (last.startsWith('run_')) {
      return 'run';
    }
  }
  if (/^(?:TodoWrite|Task(?:Create|Update|Get|List))$/.test(item.name)) {
    return 'todo';
  }
  return item.name === 'AskUserQuestion' ? 'question' : ICONS[item.kind];
}

export const isSubAgent = (item: ToolItem): boolean => item.name === 'Agent' || item.name === 'Task';

export interface TargetText {
  readonly text: string;
  /** Code or a path, not words. */
  readonly code: boolean;
}

/** What the call is about, in one line. */
export function toolTarget(item: ToolItem, cwd: string): TargetText {
  const input = item.raw_input;
  if (item.target) {
    return { text: item.target, code: !isSubAgent(item) };
  }
  const path = field(input, 'file_path', 'notebook_path', 'path');
  if (isSubAgent(item)) {
    return { text: field(input, 'description') || firstLine(field(input, 'prompt')), code: false };
  }
  const pattern = field(input, 'pattern');
  if (pattern) {
    return { text: path ? `${pattern}  ${relative(path, cwd)}` : pattern, code: true };
  }
  if (path) {
    return { text: relative(path, cwd), code: true };
  }
  const code = field(input, 'command', 'code', 'source', 'url');
  if (code) {
    return { text: firstLine(code), code: true };
  }
  const words = field(input, 'query', 'description', 'name', 'cell_id', 'title');
  if (words) {
    return { text: firstLine(words), code: false };
  }
  const place = item.locations[0];
  return place
    ? { text: relative(place.path, cwd), code: true }
    : { text: item.title === toolName(item) ? '' : stripped(item.title, toolName(item)), code: false };
}

const stripped = (title: string, name: string): string =>
  title.startsWith(name) ? title.slice(name.length).trim() : title;

/** A path as seen from the session's folder. */
export const relative = (path: string, cwd: string): string =>
  cwd && path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path;

export const diffs = (content: readonly ToolContent[]): DiffBlock[] =>
  content.filter((block): block is DiffBlock => block.type === 'diff');

export interface ResultText {
  readonly text: string;
  readonly tone: 'error' | 'muted';
  readonly added: number;
  readonly removed: number;
}

/** What came of it, in a few letters at the line's right. */
export function toolResult(item: ToolItem): ResultText {
  const counts = diffCounts([...diffs(item.content), ...cellDiffs(item.content)]);
  if (item.status === 'failed') {
    return { ...counts, text: failure(item), tone: 'error' };
  }
  return { ...counts, text: item.status === 'cancelled' ? t('stopped') : '', tone: 'muted' };
}

/** "exit 3", "ImportError", or just "failed". */
function failure(item: ToolItem): string {
  for (const block of item.content) {
    if (block.type === 'terminal' && block.exit_code !== null && block.exit_code !== 0) {
      return t('exit {code}', { code: block.exit_code });
    }
    const text = block.type === 'text' ? block.text : block.type === 'terminal' ? block.output : '';
    const name = /(?:^|\n)(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt)):?(?: |$|\n)/.exec(text)?.[1];
    if (name) {
      return name;
    }
  }
  return t('failed');
}
