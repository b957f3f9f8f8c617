/** The conversation: sections drawn once and kept, following the newest line while it is in sight. */

import type { JSX } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Fold, Item } from '../transcript.js';
import type { Chat, Sending } from './chat.js';
import { Chunks, grouped, Heights, isNear, nearIn, nearOf, wordsOf } from './chunks.js';
import type { Chunk, Group, Near } from './chunks.js';
import { Markdown } from './markdown.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import {
  ConnectionCard, ExitCard, InvalidLine, NoticeRow, TurnEnd, UnknownLine
} from './notice.js';
import { PermissionCard } from './permission.js';
import { PlanLine } from './plan.js';
import { Rules } from './rules.js';
import { layout, Sections } from './sections.js';
import type { Layout, Section } from './sections.js';
import { Readiness } from './readiness.js';
import { Steps } from './steps.js';
import { Visible } from './text.js';
import { Thought } from './thought.js';
import { ToolCard } from './toolCall.js';
import { SendingMessage, UserMessage } from './userMessage.js';

/** Nearer to the end than this (px), the log follows what is added. */
const NEAR = 32;
/** A selection over more chunks than this is not kept whole while one scrolls. */
const LONGEST_SELECTION = 40;

export function Conversation({ chat }: { chat: Chat }): JSX.Element {
  const log = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  /** The next scroll event is of our own making and says nothing about the reader. */
  const own = useRef(false);
  const top = useRef(0);
  const view = useRef(0);
  const [away, setAway] = useState(false);
  const anchor = useRef<{ element: Element; top: number } | null>(null);
  const past = useRef<Past | null>(null);
  past.current ??= new Past();
  const { chunks, heights } = past.current;
  const { transcript } = chat;
  const before = chunks.list;
  past.current.update(chat.fold);
  const { list } = past.current.sections;
  const all = chunks.list;
  const windowAgain = useAgain();

  // Older ones are put above what is being read: it has to stay where it is on the screen.
  const added = before.length ? all.findIndex(chunk => chunk.key === before[0]!.key) : 0;
  const grewAbove = added > 0 || (added === 0 && before.length > 0 && all[0]?.sections[0]?.key !== before[0]?.sections[0]?.key);
  if (grewAbove && log.current) {
    top.current += heights.sum(all, 0, added);
    anchor.current = firstInSight(log.current);
  }

  const near = nearOf(
    all, heights, { top: top.current, view: view.current || 900, atEnd: following.current },
    past.current.near, past.current.pinned
  );
  past.current.near = near.keys;
  useEffect(() => {
    if (near.more) {
      const frame = requestAnimationFrame(windowAgain);
      return () => cancelAnimationFrame(frame);
    }
    return undefined;
  });

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) {
      return;
    }
    if (anchor.current?.element.isConnected) {
      element.scrollTop += anchor.current.element.getBoundingClientRect().top - anchor.current.top;
      top.current = element.scrollTop;
    }
    anchor.current = null;
  });

  // Following is left to the observer: it is called when the frame's layout is done, so asking for
  // the height costs nothing. Asked during the drawing, each token would lay the page out once more.
  useEffect(() => {
    const watch = new ResizeObserver(() => {
      const element = log.current;
      if (element) {
        view.current = element.clientHeight;
      }
      if (element && following.current) {
        const before = element.scrollTop;
        element.scrollTop = element.scrollHeight;
        // Where nothing moved, no event follows, and the next one is the reader's.
        own.current = element.scrollTop !== before;
        top.current = element.scrollTop;
      }
    });
    if (inner.current && log.current) {
      watch.observe(inner.current);
      watch.observe(log.current);
    }
    return () => watch.disconnect();
  }, []);

  const onScroll = (): void => {
    const element = log.current;
    const kept = past.current;
    if (own.current) {
      own.current = false;
    } else if (element && kept) {
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      // The first step upwards is a small one where scrolling is smooth: it counts as one.
      const near = left < (element.scrollTop < top.current ? 1 : NEAR);
      top.current = element.scrollTop;
      following.current = near;
      kept.pinned = pinnedIn(element, kept.chunks.list);
      const sight = { top: top.current, view: view.current, atEnd: near };
      if (kept.isOther(nearOf(kept.chunks.list, kept.heights, sight, kept.near, kept.pinned))) {
        windowAgain();
      }
      if (near && away) {
        setAway(false);
      }
    }
  };
  const going = useRef<number | null>(null);
  /** Draw a chunk that is far away, wherever it is: a box within a box that is not drawn has no place. */
  const drawAt = (key: number): void => {
    const kept = past.current;
    const index = kept ? kept.chunks.list.findIndex(chunk => chunk.key === key) : -1;
    if (kept && index >= 0) {
      following.current = false;
      kept.near = new Set([...kept.near, key]);
      top.current = kept.heights.sum(kept.chunks.list, 0, index);
      going.current = key;
      windowAgain();
    }
  };
  // Else the next scroll event would say that the reader is where he was, and take it away again.
  useLayoutEffect(() => {
    const chunk = going.current === null ? null
      : inner.current?.querySelector(`[data-chunk="${going.current}"]:not(.al-far)`);
    if (chunk && log.current) {
      going.current = null;
      chunk.scrollIntoView();
      top.current = log.current.scrollTop;
    }
  });
  // The browser's own search has found words in a part that is not drawn: it goes there by itself.
  useEffect(() => {
    const found = ({ target }: Event): void => {
      const chunk = target instanceof Element ? target.closest<HTMLElement>('.al-far[data-chunk]') : null;
      if (chunk) {
        drawAt(Number(chunk.dataset['chunk']));
      }
    };
    const element = inner.current;
    element?.addEventListener('beforematch', found);
    return () => element?.removeEventListener('beforematch', found);
  }, []);
  // What a person opens stays under the pointer: it is not scrolled away to follow the end.
  const onOpen = (event: MouseEvent): void => {
    if (event.target instanceof Element && event.target.closest('[aria-expanded]')) {
      following.current = false;
      requestAnimationFrame(onScroll);
    }
  };
  // A place that a search found: brought up once what lies before it has been read.
  useLayoutEffect(() => {
    const { wanted } = chat;
    if (wanted === null || !chat.reachesWanted) {
      return;
    }
    const section = [...list].reverse().find(each => (each.items[0]?.seq ?? 0) <= wanted) ?? list[0];
    const element = section && log.current?.querySelector(`[data-section="${CSS.escape(section.key)}"]`);
    const far = section && all.find(chunk => chunk.sections.includes(section) && !near.keys.has(chunk.key));
    if (far) {
      drawAt(far.key);
      return;
    }
    chat.wanted = null;
    if (element) {
      following.current = false;
      element.scrollIntoView();
      element.classList.add('al-found');
    }
  });
  const last = transcript?.items.at(-1);
  const newest = useRef(last);
  useLayoutEffect(() => {
    if (last !== newest.current) {
      newest.current = last;
      if (!following.current && !away) {
        setAway(true);
      }
    }
  });
  const toEnd = (): void => {
    following.current = true;
    setAway(false);
    log.current?.scrollTo({ top: log.current.scrollHeight });
  };
  const sendingCount = chat.sending.length;
  useEffect(() => {
    if (sendingCount) {
      toEnd();
    }
  }, [sendingCount]);

  const empty = transcript !== undefined && list.length === 0 && chat.sending.length === 0;
  // All parts of the turn that runs are live, however long it is.
  const running = chat.busy ? lastPrompt(list) : list.length;
  let at = 0;
  return (
    <div class="al-middle">
      <div class="al-log" role="log" aria-live="off" aria-label={t('Conversation')} tabIndex={0} ref={log}
        onScroll={onScroll}
        onClick={onOpen}
        onWheel={event => {
          if (event.deltaY < 0) {
            following.current = false;
          }
        }}>
        <div ref={inner}>
          {chat.hasOlder && <Older chat={chat} log={log} />}
          {empty && <Empty chat={chat} />}
          {past.current.groups.map((group, index, { length }) => {
            const from = at;
            at += group.size;
            return (
              <GroupRows key={group.key} group={group} heights={heights} near={nearIn(group, near.keys)}
                last={index === length - 1} live={Math.min(group.size, Math.max(0, running - from))} />
            );
          })}
          {chat.sending.map((each: Sending) => (
            <SendingMessage key={each.id} sending={each} lost={chat.connection.name !== 'open'} />
          ))}
          <ConnectionCard chat={chat} />
        </div>
      </div>
      {chat.rulesShown && <Rules chat={chat} />}
      {away && !chat.rulesShown && (
        <button type="button" class="al-button al-pill" onClick={toEnd}>
          <Icon name="down" />{t('New messages')}
        </button>
      )}
    </div>
  );
}

/** Where the newest turn begins; 0 where that is not among what was loaded. */
function lastPrompt(sections: readonly Section[]): number {
  let at = sections.length - 1;
  while (at > 0 && sections[at]!.type !== 'user_message') {
    at -= 1;
  }
  return Math.max(0, at);
}

/** What this view remembers of a conversation from one drawing to the next. */
class Past {
  readonly sections = new Sections();
  readonly chunks = new Chunks();
  readonly heights = new Heights();
  groups: readonly Group[] = [];
  private fold: Fold | undefined;
  private version = 0;
  near: ReadonlySet<number> = new Set();
  /** Drawn wherever they are: what has the focus, and what is selected. */
  pinned: ReadonlySet<number> = new Set();

  /** Reads the fold where it has changed: while one scrolls, it has not. */
  update(fold: Fold | undefined): void {
    if (fold !== this.fold || (fold && fold.version !== this.version)) {
      this.fold = fold;
      this.version = fold?.version ?? 0;
      const chunks = this.chunks.update(this.sections.update(fold?.transcript.items ?? []));
      this.groups = grouped(chunks, this.groups);
    }
  }

  /** Something else is to be drawn than is. */
  isOther({ keys, more }: Near): boolean {
    return more || keys.size !== this.near.size || [...keys].some(key => !this.near.has(key));
  }
}

function useAgain(): () => void {
  const [, set] = useState(0);
  return useCallback(() => set(n => n + 1), []);
}

function firstInSight(log: HTMLElement): { element: Element; top: number } | null {
  const from = log.getBoundingClientRect().top;
  // The first one is left out: it may have been cut off, and become part of what comes before it.
  for (const element of [...log.querySelectorAll('[data-section]')].slice(1)) {
    const { top, bottom } = element.getBoundingClientRect();
    if (bottom > from) {
      return { element, top };
    }
  }
  return null;
}

function pinnedIn(log: HTMLElement, chunks: readonly Chunk[]): ReadonlySet<number> {
  const keyOf = (node: Node | null | undefined): number | undefined => {
    const element = node instanceof Element ? node : node?.parentElement;
    const chunk = element && log.contains(element) ? element.closest<HTMLElement>('[data-chunk]') : null;
    return chunk ? Number(chunk.dataset['chunk']) : undefined;
  };
  const pinned = new Set<number>();
  const focused = keyOf(log.ownerDocument.activeElement);
  if (focused !== undefined) {
    pinned.add(focused);
  }
  const selection = log.ownerDocument.getSelection();
  const ends = selection?.isCollapsed === false ? [keyOf(selection.anchorNode), keyOf(selection.focusNode)] : [];
  const [a, b] = ends;
  if (a !== undefined && b !== undefined) {
    const between = chunks.filter(({ key }) => key >= Math.min(a, b) && key <= Math.max(a, b));
    between.slice(0, LONGEST_SELECTION).forEach(({ key }) => pinned.add(key));
  }
  return pinned;
}

/** Without it nothing can be said to be hidden only until it is searched for. */
const SEARCHABLE = typeof document !== 'undefined' && 'onbeforematch' in document;

/** Laid out by nobody, but found by the browser's search; where there is no such thing, it is only empty. */
const hiddenUntilFound = (height: number): { style: { height: string }; hidden?: 'until-found' } => ({
  style: { height: `${height}px` },
  ...(SEARCHABLE ? { hidden: 'until-found' } : {})
});

interface GroupProps {
  readonly group: Group;
  readonly heights: Heights;
  /** The bits of those chunks that are near. */
  readonly near: number;
  readonly last: boolean;
  readonly live: number;
}

const GroupRows = memo(({ group, heights, near, last, live }: GroupProps): JSX.Element => {
  const { chunks } = group;
  let at = 0;
  return (
    <div class={near ? 'al-chunk' : 'al-chunk al-far'} {...(near ? {} : hiddenUntilFound(heights.sum(chunks, 0, chunks.length)))}>
      {chunks.map((chunk, index) => {
        const from = at;
        at += chunk.sections.length;
        return (
          <ChunkRows key={chunk.key} chunk={chunk} heights={heights} near={isNear(chunk, near)}
            last={last && index === chunks.length - 1} live={Math.min(chunk.sections.length, Math.max(0, live - from))} />
        );
      })}
    </div>
  );
});

interface ChunkProps {
  readonly chunk: Chunk;
  readonly heights: Heights;
  readonly near: boolean;
  readonly last: boolean;
  /** From this one of its sections on, the turn runs. */
  readonly live: number;
}

const ChunkRows = memo(({ chunk, heights, near, last, live }: ChunkProps): JSX.Element => {
  const at = useRef<HTMLDivElement>(null);
  const drawn = useRef(chunk);
  drawn.current = chunk;
  useEffect(() => {
    if (!near || !at.current) {
      return undefined;
    }
    const watch = new ResizeObserver(entries => {
      const box = entries.at(-1)?.borderBoxSize[0];
      if (box && box.blockSize > 0) {
        heights.measured(drawn.current, box.blockSize);
      }
    });
    watch.observe(at.current);
    return () => watch.disconnect();
  }, [near]);
  const { key, sections } = chunk;
  return near
    ? (
      <div class="al-chunk" data-chunk={key} ref={at}>
        {sections.map((section, index) => (
          <SectionRows key={section.key} section={section} last={last && index === sections.length - 1} live={index >= live} />
        ))}
      </div>
    )
    : (
      <div class="al-chunk al-far" data-chunk={key} ref={at} {...hiddenUntilFound(heights.of(chunk))}>
        {SEARCHABLE ? wordsOf(chunk) : null}
      </div>
    );
});

interface OlderProps {
  readonly chat: Chat;
  readonly log: { readonly current: HTMLDivElement | null };
}

/** Asks for the page before when it comes near; a button where that does not happen by itself. */
function Older({ chat, log }: OlderProps): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(
      entries => {
        if (entries.some(entry => entry.isIntersecting)) {
          void chat.loadOlder();
        }
      },
      { root: log.current, rootMargin: '1200px 0px 0px 0px' }
    );
    if (at.current) {
      watch.observe(at.current);
    }
    return () => watch.disconnect();
    // Watched anew after each page: one that leaves this line in sight gives no new crossing.
  }, [chat.loadingOlder]);
  return (
    <div class="al-older" ref={at}>
      <button type="button" class="al-link" disabled={chat.loadingOlder} onClick={() => void chat.loadOlder()}>
        {chat.loadingOlder ? t('Loading earlier messages…') : t('Show earlier messages')}
      </button>
    </div>
  );
}

function Empty({ chat }: { chat: Chat }): JSX.Element | null {
  const { session } = chat;
  if (!session) {
    return null;
  }
  const place = session.notebook?.path ?? (session.workspace.path || session.workspace.cwd);
  return (
    <div class="al-empty">
      <strong><Visible text={place} /></strong>
      <p>{t('Nothing is sent before you send it.')}</p>
      <Readiness host={chat.host} path={session.workspace.path} notebook={session.notebook?.path}
        kernel={session.notebook?.kernel_id ?? undefined} trusted={() => void chat.restart()} />
    </div>
  );
}

interface SectionProps {
  readonly section: Section;
  readonly last: boolean;
  readonly live: boolean;
}

const SectionRows = memo(({ section, last, live }: SectionProps): JSX.Element => {
  const parts = layout(section.items, !live);
  return (
    <div class="al-section" data-section={section.key}>
      {parts.rows.map(row =>
        row.type === 'item'
          ? <ItemRow key={`${row.item.type}:${row.item.id}`} item={row.item} parts={parts} last={last} live={live} />
          : <Steps key={`steps:${row.items[0]?.id ?? ''}`} items={row.items} parts={parts} />
      )}
    </div>
  );
});

interface RowProps {
  readonly item: Item;
  readonly parts: Layout;
  readonly last: boolean;
  readonly live: boolean;
}

export function ItemRow({ item, parts, last, live }: RowProps): JSX.Element | null {
  switch (item.type) {
    case 'user_message':
      return <UserMessage item={item} />;
    case 'agent_message':
      return <Message item={item} live={live} />;
    case 'agent_thought':
      return <Thought item={item} live={live} />;
    case 'tool_call':
      return (
        <ToolCard item={item} decision={parts.decisions.get(item.id)} children_={parts.children.get(item.id)}
          parts={parts} live={live} />
      );
    case 'permission':
      return <PermissionCard item={item} live={live} call={parts.calls.get(item.request.tool_call_id ?? '')} />;
    case 'plan':
      return live ? null : <PlanLine item={item} />;
    case 'turn':
      return <TurnEnd item={item} last={last} live={live} />;
    case 'notice':
      return <NoticeRow item={item} />;
    case 'agent_exited':
      return <ExitCard item={item} last={last} />;
    case 'agent_output_invalid':
      return <InvalidLine item={item} />;
    case 'review':
      return (
        <div class="al-note-line">
          <Icon name="review" />{item.ended ? t('Review ended') : t('Review started')}
        </div>
      );
    case 'unknown':
      return <UnknownLine item={item} />;
  }
}

const Message = memo(({ item, live }: { item: Extract<Item, { type: 'agent_message' }>; live: boolean }) => (
  <>
    <Markdown text={item.text} done={item.done || !live} />
    {item.content.map(block =>
      block.type === 'image'
        ? <img class="al-picture al-say-picture" alt={t('Image')} src={`data:${block.mime_type};base64,${block.data}`} />
        : null
    )}
    {item.partial && <div class="al-cut-note">{t('Cut off here')}</div>}
  </>
));
