/** The inside of a tool call: input, output, diffs, pictures, links to the files. */

import type { JSX } from 'preact';
import type { Json, ToolContent } from '../protocol.js';
import type { ToolItem } from '../transcript.js';
import { CellChangeView } from './cellChange.js';
import { useChat } from './context.js';
import { Diff } from './diff.js';
import { pretty } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { Code, Markdown } from './markdown.js';
import { plain, Visible } from './text.js';
import { field, fieldsOf, isSubAgent, relative } from './tools.js';

export function ToolBody({ item }: { item: ToolItem }): JSX.Element {
  const shown = item.content.filter(
    block => !(block.type === 'terminal' && !block.output && item.ended_at === null && item.content.length > 1)
  );
  const settled = item.ended_at !== null;
  return (
    <>
      <Places item={item} />
      <Input item={item} />
      {shown.map(block => (
        <Content block={block} name={`${item.id}:${item.content.indexOf(block)}`} markdown={isSubAgent(item)} call={item.id}
          done={item.status === 'completed'} />
      ))}
      {settled && shown.every(empty) && item.raw_output !== null && <Output name={`${item.id}:raw`} text={pretty(item.raw_output)} />}
      {settled && item.raw_output === null && shown.every(empty) && <div class="al-foot-note">{t('No output')}</div>}
    </>
  );
}

const empty = (block: ToolContent): boolean =>
  (block.type === 'terminal' && !block.output) || (block.type === 'text' && !block.text);

function Places({ item }: { item: ToolItem }): JSX.Element | null {
  const { host, session } = useChat();
  const open = host.openFile?.bind(host);
  if (!open || item.locations.length === 0 || item.content.some(block => block.type === 'diff')) {
    return null;
  }
  return (
    <div class="al-places">
      {item.locations.map(({ path, line }) => (
        <button type="button" class="al-link" onClick={() => open(path, line)}>
          <Visible text={relative(path, session?.workspace.cwd ?? '')} />{line === undefined ? '' : `:${line}`}
        </button>
      ))}
    </div>
  );
}

/** Inputs that the content already shows are not shown twice. */
const TOLD = new Set(['file_path', 'notebook_path', 'old_string', 'new_string', 'content', 'new_source', 'edits', 'command', 'description']);

function Input({ item }: { item: ToolItem }): JSX.Element | null {
  const input = item.raw_input;
  if (item.content.some(block => block.type === 'diff')) {
    return null;
  }
  const command = field(input, 'command');
  if (command) {
    const terminal = item.content.find(block => block.type === 'terminal');
    return <div class="al-codebox"><pre tabIndex={0}><span class="al-muted">$ </span><Visible text={terminal?.type === 'terminal' ? terminal.command || command : command} /></pre></div>;
  }
  const code = field(input, 'code', 'source');
  if (code) {
    return <div class="al-codebox"><Code code={code} language="python" /></div>;
  }
  const prompt = isSubAgent(item) ? field(input, 'prompt') : '';
  if (prompt) {
    return <Folded name={item.id} label={t('Prompt')} text={prompt} />;
  }
  const rest = Object.keys(fieldsOf(input)).filter(name => !TOLD.has(name));
  return rest.length ? <Folded name={item.id} label={t('Input')} text={pretty(input)} json /> : null;
}

interface FoldedProps {
  readonly name: string;
  readonly label: string;
  readonly text: string;
  readonly json?: boolean;
}

function Folded({ name, label, text, json = false }: FoldedProps): JSX.Element {
  const [open, set] = useKept<boolean>(`folded:${name}`, false);
  return (
    <div class="al-folded">
      <button type="button" class="al-link" aria-expanded={open} onClick={() => set(!open)}>
        <Icon name={open ? 'chevronDown' : 'chevronRight'} class="al-small-icon" />{label}
      </button>
      {open && <div class="al-codebox">{json ? <Code code={text} language="json" /> : <pre tabIndex={0}><Visible text={text} /></pre>}</div>}
    </div>
  );
}

interface ContentProps {
  readonly block: ToolContent;
  readonly name: string;
  readonly markdown: boolean;
  /** The call's id. */
  readonly call: string;
  /** The call has ended well. */
  readonly done: boolean;
}

function Content({ block, name, markdown, call, done }: ContentProps): JSX.Element | null {
  switch (block.type) {
    case 'text':
      return markdown ? <div class="al-answer"><Markdown text={block.text} done /></div> : <Output name={name} text={block.text} />;
    case 'terminal':
      return (
        <>
          {block.output && <Output name={name} text={block.output} />}
          {block.exit_code !== null && block.exit_code !== 0 && (
            <div class="al-foot-note al-error">{t('Exit code {code}', { code: block.exit_code })}</div>
          )}
        </>
      );
    case 'image':
      return <img class="al-picture" alt={t('Output of the tool')} src={`data:${safeMime(block.mime_type)};base64,${block.data}`} />;
    case 'resource':
      return block.text ? <Output name={name} text={block.text} /> : <div class="al-foot-note"><Visible text={block.name || block.uri} /></div>;
    case 'diff':
      return <Diff block={block} name={name} />;
    case 'cell_diff':
      return <CellChangeView change={block.change} call={call} done={done} />;
  }
}

const safeMime = (mime: string): string => (/^image\/[\w.+-]+$/.test(mime) ? mime : 'image/png');

const FIRST_LINES = 14;
const FIRST_CHARACTERS = 3000;
/** Each press of "Show more" shows this many times as much, so that no press blocks the page. */
const GROWTH = 12;

function Output({ name, text }: { name: string; text: string }): JSX.Element {
  const [times, grow] = useKept<number>(`shown:${name}`, 1);
  const limit = FIRST_CHARACTERS * times;
  // Codes are taken out of a part only, so a ten-megabyte output costs what is shown of it.
  const clean = plain(text.slice(0, limit * 2)).replace(/\n$/, '');
  const lines = clean.split('\n');
  const most = FIRST_LINES * times;
  const part = lines.slice(0, most).join('\n').slice(0, limit);
  const cut = part.length < clean.length || text.length > limit * 2;
  const all = text.length > limit * 2 ? text.split('\n').length : lines.length;
  return (
    <div class="al-output">
      <pre tabIndex={0}><Visible text={part} /></pre>
      {cut && (
        <div class="al-foot-note">
          <span>{t('{shown} of {all} lines', { shown: Math.min(most, part.split('\n').length), all: all.toLocaleString('en') })}</span>
          <button type="button" class="al-link" onClick={() => grow(times * GROWTH)}>{t('Show more')}</button>
        </div>
      )}
      {!cut && times > 1 && (
        <div class="al-foot-note">
          <button type="button" class="al-link" onClick={() => grow(1)}>{t('Show less')}</button>
        </div>
      )}
    </div>
  );
}

/** A tool's input as names and values, for a person to judge. */
export function InputTable({ input, skip }: { input: Json; skip: ReadonlySet<string> }): JSX.Element | null {
  const rows = Object.entries(fieldsOf(input)).filter(([name, value]) => !skip.has(name) && value !== null && value !== '');
  if (!rows.length) {
    return null;
  }
  return (
    <dl class="al-effects">
      {rows.map(([name, value]) => (
        <>
          <dt><Visible text={name.replaceAll('_', ' ')} /></dt>
          <dd><Visible text={shortened(pretty(value))} /></dd>
        </>
      ))}
    </dl>
  );
}

const shortened = (text: string): string => (text.length > 2000 ? `${text.slice(0, 2000)}…` : text);
