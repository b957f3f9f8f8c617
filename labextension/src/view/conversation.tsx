/** The conversation: sections drawn once and kept, following the newest line while it is in sight. */

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Item } from '../transcript.js';
import type { Chat, Sending } from './chat.js';
import { Markdown } from './markdown.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import {
  ConnectionCard, ExitCard, InvalidLine, NoticeRow, TurnEnd, UnknownLine
} from './notice.js';
import { PermissionCard } from './permission.js';
import { PlanLine } from './plan.js';
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

export function Conversation({ chat }: { chat: Chat }): JSX.Element {
  const log = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  /** The next scroll event is of our own making and says nothing about the reader. */
  const own = useRef(false);
  const top = useRef(0);
  const [away, setAway] = useState(false);
  const sections = useRef<Sections | null>(null);
  const anchor = useRef<{ element: Element; top: number } | null>(null);
  sections.current ??= new Sections();
  const { transcript } = chat;
  const before = sections.current.list;
  const list = transcript ? sections.current.update(transcript.items) : [];

  // Older sections are put above what is being read: it has to stay where it is on the screen.
  const grewAbove = before.length > 0 && list.length > 0 && before[0]?.key !== list[0]?.key;
  if (grewAbove && log.current) {
    const element = log.current.querySelector(`[data-section="${CSS.escape(before[0]!.key)}"]`);
    anchor.current = element && { element, top: element.getBoundingClientRect().top };
  }

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) {
      return;
    }
    if (anchor.current?.element.isConnected) {
      element.scrollTop += anchor.current.element.getBoundingClientRect().top - anchor.current.top;
    }
    anchor.current = null;
  });

  // Following is left to the observer: it is called when the frame's layout is done, so asking for
  // the height costs nothing. Asked during the drawing, each token would lay the page out once more.
  const inner = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new ResizeObserver(() => {
      const element = log.current;
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
    if (own.current) {
      own.current = false;
    } else if (element) {
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      // The first step upwards is a small one where scrolling is smooth: it counts as one.
      const near = left < (element.scrollTop < top.current ? 1 : NEAR);
      top.current = element.scrollTop;
      following.current = near;
      if (near && away) {
        setAway(false);
      }
    }
  };
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
    chat.wanted = null;
    const section = [...list].reverse().find(each => (each.items[0]?.seq ?? 0) <= wanted) ?? list[0];
    const element = section && log.current?.querySelector(`[data-section="${CSS.escape(section.key)}"]`);
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
          {list.map((section, index) => (
            <SectionRows key={section.key} section={section} last={index === list.length - 1}
              live={index === list.length - 1 && chat.busy} />
          ))}
          {chat.sending.map((each: Sending) => (
            <SendingMessage key={each.id} sending={each} lost={chat.connection.name !== 'open'} />
          ))}
          <ConnectionCard chat={chat} />
        </div>
      </div>
      {away && (
        <button type="button" class="al-button al-pill" onClick={toEnd}>
          <Icon name="down" />{t('New messages')}
        </button>
      )}
    </div>
  );
}

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
      { root: log.current, rootMargin: '400px 0px 0px 0px' }
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
    <div class={`al-section ${last ? 'al-last' : ''}`} data-section={section.key}>
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
      return <PermissionCard item={item} live={live} />;
    case 'plan':
      return live ? null : <PlanLine item={item} />;
    case 'turn':
      return <TurnEnd item={item} last={last} />;
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
