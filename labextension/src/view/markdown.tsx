/** The agent's markdown as elements, drawn again only where it grew. Words never pass an HTML parser. */

import { Lexer, Parser } from 'marked';
import type { Token, Tokens } from 'marked';
import type { ComponentChildren, JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Blocks } from './blocks.js';
import type { Block } from './blocks.js';
import { useBriefly } from './briefly.js';
import { CellButtons } from './cellButtons.js';
import { useChat } from './context.js';
import { Formula } from './formula.js';
import { highlight } from './highlight.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { imageSource, linkTarget } from './links.js';
import { options } from './math.js';
import type { MathToken } from './math.js';
import { memo } from './memo.js';
import { sanitise } from './sanitise.js';
import { hasCodes, Visible, words } from './text.js';

/** Blocks drawn as one group, so that a long answer costs a frame no more than a short one. */
const GROUP = 24;
/** A tail this slow to draw (ms) is drawn less often, to leave most of each frame to the page. */
const SLOW = 3;

interface MarkdownProps {
  readonly text: string;
  readonly done: boolean;
}

export const Markdown = memo(({ text, done }: MarkdownProps): JSX.Element => {
  const blocks = useRef<Blocks | null>(null);
  const kept = useRef<KeptGroup[]>([]);
  const pace = useRef({ cost: 0, drawn: 0 });
  const [, again] = useState(0);
  blocks.current ??= new Blocks();
  const start = performance.now();
  const wait = done ? 0 : pace.current.drawn + pace.current.cost * 6 - start;
  const skip = pace.current.cost > SLOW && wait > 0;
  if (!skip) {
    blocks.current.update(text, done);
  }
  useLayoutEffect(() => {
    if (!skip) {
      const now = performance.now();
      pace.current = { cost: now - start, drawn: now };
    }
  });
  // Nothing may follow that would draw what was skipped.
  useLayoutEffect(() => {
    const timer = skip ? setTimeout(() => again(n => n + 1), wait) : undefined;
    return timer === undefined ? undefined : () => clearTimeout(timer);
  });
  const { list } = blocks.current;
  const { current: groups } = kept;
  const count = Math.ceil(list.length / GROUP);
  groups.length = Math.min(groups.length, count);
  const grown: KeptGroup[] = [];
  for (let index = 0; index < count; index += 1) {
    const from = index * GROUP;
    const known = groups[index];
    // Blocks become final in order: a full group whose last is final never changes again.
    if (!known) {
      groups.push({ blocks: list.slice(from, from + GROUP) });
    } else if (!known.blocks[GROUP - 1]?.final || known.blocks[0] !== list[from] || known.blocks[GROUP - 1] !== list[from + GROUP - 1]) {
      known.blocks = list.slice(from, from + GROUP);
      grown.push(known);
    }
  }
  useLayoutEffect(() => grown.forEach(group => group.draw?.()));
  return (
    <div class={`al-say ${done ? '' : 'al-live'}`} dir="auto"><Groups groups={groups} count={count} /></div>
  );
});

/** Groups that change are drawn by themselves: what is finished costs nothing when more comes. */
interface KeptGroup {
  blocks: readonly Block[];
  draw?: () => void;
}

const Groups = memo(({ groups, count }: { groups: readonly KeptGroup[]; count: number }): JSX.Element => (
  <>{groups.slice(0, count).map((group, index) => <Group key={index} group={group} />)}</>
));

const Group = memo(({ group }: { group: KeptGroup }): JSX.Element => {
  const [, again] = useState(0);
  useLayoutEffect(() => {
    group.draw = () => again(n => n + 1);
    return () => delete group.draw;
  }, [group]);
  return <div class="al-blocks">{group.blocks.map(block => <OneBlock key={block.key} block={block} />)}</div>;
});

export const OneBlock = memo(({ block }: { block: Block }): JSX.Element | null =>
  drawBlock(block.token, block.final)
);

function drawBlock(token: Token, final: boolean): JSX.Element | null {
  const known = token as Tokens.Generic;
  // In code such characters are shown; in words they are left out before anything is made of them.
  if (token.type !== 'code' && hasCodes(token.raw)) {
    const clean = words(token.raw);
    return token.type === 'raw'
      ? <p class="al-raw" dir="auto">{clean}</p>
      : <>{new Lexer(options(clean, false)).lex(clean).map(each => drawBlock(each, final))}</>;
  }
  if (token.type !== 'code' && token.raw.includes('<') && holdsHtml(token)) {
    return <Html token={token} />;
  }
  switch (token.type) {
    case 'heading': {
      const Tag = `h${Math.min(6, (known as Tokens.Heading).depth + 2)}` as 'h3';
      return <Tag>{inline(known.tokens)}</Tag>;
    }
    case 'paragraph':
      return <p dir="auto">{inline(known.tokens)}</p>;
    case 'text':
      return <>{known.tokens ? inline(known.tokens) : decode(known.raw)}</>;
    case 'code': {
      const code = known as Tokens.Code;
      return <CodeBlock code={code.text} language={(code.lang ?? '').split(/\s/, 1)[0] ?? ''} final={final} />;
    }
    case 'blockquote':
      return <blockquote>{(known.tokens ?? []).map(each => drawBlock(each, final))}</blockquote>;
    case 'list':
      return drawList(known as Tokens.List, final);
    case 'table':
      return drawTable(known as Tokens.Table);
    case 'hr':
      return <hr />;
    case 'math':
      return drawMath(known as MathToken);
    case 'raw':
      return <p class="al-raw" dir="auto">{known.raw}</p>;
    case 'checkbox':
      return <Checkbox checked={(known as Tokens.Checkbox).checked} />;
    case 'space':
    case 'def':
      return null;
    default:
      return <>{inline([token])}</>;
  }
}

function drawList(list: Tokens.List, final: boolean): JSX.Element {
  const items = list.items.map((item, index) => (
    <li key={index} class={item.task ? 'al-task' : ''}>
      {item.tokens.map(each => drawBlock(each, final))}
    </li>
  ));
  return list.ordered ? <ol start={list.start === '' ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>;
}

function drawTable(table: Tokens.Table): JSX.Element {
  const align = (cell: Tokens.TableCell): string => (cell.align ? `al-${cell.align}` : '');
  return (
    <div class="al-scroll" tabIndex={0} role="group" aria-label={t('Table')}>
      <table>
        <thead>
          <tr>{table.header.map(cell => <th class={align(cell)}>{inline(cell.tokens)}</th>)}</tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>{row.map(cell => <td class={align(cell)}>{inline(cell.tokens)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: readonly Token[] | undefined): ComponentChildren {
  return (tokens ?? []).map(token => {
    const known = token as Tokens.Generic;
    switch (token.type) {
      case 'strong':
        return <strong>{inline(known.tokens)}</strong>;
      case 'em':
        return <em>{inline(known.tokens)}</em>;
      case 'del':
        return <del>{inline(known.tokens)}</del>;
      case 'codespan':
        return <code><Visible text={(known as Tokens.Codespan).text} /></code>;
      case 'br':
        return <br />;
      case 'escape':
        return (known as Tokens.Escape).text;
      case 'link':
        return <Link href={(known as Tokens.Link).href}>{inline(known.tokens)}</Link>;
      case 'math':
        return drawMath(known as MathToken);
      case 'image':
        return <Picture src={(known as Tokens.Image).href} alt={(known as Tokens.Image).text} />;
      case 'checkbox':
        return <Checkbox checked={(known as Tokens.Checkbox).checked} />;
      case 'text':
        return known.tokens ? inline(known.tokens) : decode(String(known['text']));
      default:
        return token.raw;
    }
  });
}

/** Another formula is another element: what was wrong with one says nothing about the next. */
function drawMath({ tex, raw, display, closed }: MathToken): JSX.Element {
  return closed
    ? <Formula key={tex} tex={tex} raw={raw} display={display} />
    : <p class="al-raw" dir="auto"><Visible text={raw} /></p>;
}

function Checkbox({ checked }: { checked: boolean }): JSX.Element {
  return <input type="checkbox" checked={checked} disabled aria-label={checked ? t('Done') : t('Open')} />;
}

function holdsHtml(token: Token): boolean {
  const known = token as Tokens.Generic;
  if (token.type === 'html') {
    return true;
  }
  if (token.type === 'list') {
    return (known as Tokens.List).items.some(item => item.tokens.some(holdsHtml));
  }
  if (token.type === 'table') {
    const table = known as Tokens.Table;
    return [table.header, ...table.rows].some(row => row.some(cell => cell.tokens.some(holdsHtml)));
  }
  return (known.tokens ?? []).some(holdsHtml);
}

function Html({ token }: { token: Token }): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const nodes = sanitise(Parser.parse([token], options(token.raw, false)));
    // Nothing of it may be shown: then its words are, as words.
    at.current?.replaceChildren(nodes.textContent.trim() || nodes.querySelector('img, hr') ? nodes : token.raw);
  }, [token]);
  return <div class="al-html" ref={at} />;
}

/** A character reference of a text ("&amp;") as its character. */
function decode(text: string): string {
  return text.includes('&') ? text.replace(/&(?:#\d{1,7}|#x[\da-f]{1,6}|\w{1,31});/gi, entity) : text;
}
const entities = new Map<string, string>();
let area: HTMLTextAreaElement | undefined;
function entity(reference: string): string {
  let known = entities.get(reference);
  if (known === undefined) {
    // A textarea's content is text to the parser whatever it holds, and the reference is only letters.
    area ??= document.createElement('textarea');
    area.innerHTML = reference;
    known = area.value;
    entities.set(reference, known);
  }
  return known;
}

export function Link({ href, children }: { href: string; children: ComponentChildren }): JSX.Element {
  const { host } = useChat();
  const target = linkTarget(href);
  if (target.kind === 'web') {
    return <a href={target.href} title={target.href} target="_blank" rel="noopener noreferrer">{children}</a>;
  }
  if (target.kind === 'file' && host.openFile) {
    return (
      <button type="button" class="al-link" title={target.path}
        onClick={() => host.openFile?.(target.path, target.line)}>
        {children}
      </button>
    );
  }
  return <span title={href}>{children}</span>;
}

function Picture({ src, alt }: { src: string; alt: string }): JSX.Element {
  const { host } = useChat();
  const [asked, ask] = useKept<boolean>(`image:${src}`, false);
  const source = imageSource(src);
  if (source.kind === 'inline' || (source.kind === 'remote' && asked)) {
    return <img class="al-picture" src={source.src} alt={alt} referrerpolicy="no-referrer" />;
  }
  if (source.kind === 'remote') {
    return (
      <span class="al-blocked" title={source.src}>
        <Icon name="image" />
        {t('Remote image blocked: {host}', { host: source.host })}
        <button type="button" class="al-link" onClick={() => ask(true)}>{t('Load')}</button>
      </span>
    );
  }
  if (source.kind === 'file') {
    return (
      <span class="al-blocked">
        <Icon name="image" />
        {host.openFile
          ? <button type="button" class="al-link" onClick={() => host.openFile?.(source.path)}>{alt || source.path}</button>
          : alt || source.path}
      </span>
    );
  }
  return <span class="al-blocked"><Icon name="image" />{alt || t('Image')}</span>;
}

interface CodeProps {
  readonly code: string;
  readonly language: string;
  readonly final: boolean;
}

/** What is shown, not run: it goes into no cell. */
const NO_CODE = new Set(['diff', 'patch', 'text', 'txt', 'output', 'console', 'json', 'yaml', 'toml', 'csv', 'html', 'xml']);

function CodeBlock({ code, language, final }: CodeProps): JSX.Element {
  const cell = final && !NO_CODE.has(language.toLowerCase());
  return (
    <div class="al-code">
      <div class="al-code-head">
        <span>{language || t('text')}</span>
        {cell && <CellButtons code={code} />}
        <CopyButton text={code} />
      </div>
      <Code code={code} language={final ? language : ''} />
    </div>
  );
}

/** Code in its colours; with no language, as it stands. */
export const Code = memo(({ code, language }: { code: string; language: string }): JSX.Element => {
  if (language.toLowerCase() === 'diff') {
    return (
      <pre tabIndex={0}>
        <code>
          {code.split('\n').map(line => (
            <span class={line.startsWith('+') ? 'al-plus-line' : line.startsWith('-') ? 'al-minus-line' : ''}>
              <Visible text={line} />{'\n'}
            </span>
          ))}
        </code>
      </pre>
    );
  }
  return (
    <pre tabIndex={0}>
      <code>
        {language
          ? highlight(code, language).map(span =>
              span.paint
                ? <span class={`al-c-${span.paint}`}><Visible text={span.text} /></span>
                : <Visible text={span.text} />
            )
          : <Visible text={code} />}
      </code>
    </pre>
  );
});

/** True when it is in the clipboard. A page over plain HTTP has no `navigator.clipboard`, and it may refuse. */
async function copy(text: string, page: Document): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const put = (event: ClipboardEvent): void => {
      event.clipboardData?.setData('text/plain', text);
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    page.addEventListener('copy', put, true);
    const done = page.execCommand('copy');
    page.removeEventListener('copy', put, true);
    return done;
  }
}

export function CopyButton({ text }: { text: string }): JSX.Element {
  const [copied, set] = useBriefly();
  return (
    <button type="button" class="al-button al-quiet al-square" aria-label={copied ? t('Copied') : t('Copy code')}
      title={copied ? t('Copied') : t('Copy')}
      onClick={event => {
        const { ownerDocument } = event.currentTarget;
        void copy(text, ownerDocument).then(set);
      }}>
      <Icon name={copied ? 'check' : 'copy'} />
    </button>
  );
}
