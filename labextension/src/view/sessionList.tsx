/** The list of sessions: search, what each does, and what a person can do with it. */

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Brief } from '../changes.js';
import { GateCard } from './gate.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { Readiness } from './readiness.js';
import { RowMenu } from './rowMenu.js';
import type { MenuItem } from './rowMenu.js';
import { age, grouped, headingWords, markTitle } from './sessionMark.js';
import { SessionRow } from './sessionRow.js';
import type { RowActions } from './sessionRow.js';
import type { SessionStore } from './sessionStore.js';
import type { SessionsHost } from './sessionsHost.js';
import { Visible } from './text.js';

interface ListProps {
  readonly host: SessionsHost;
  readonly store: SessionStore;
  /** The session that the page shows. */
  readonly shown: string | null;
  /** Grows when anything changed. */
  readonly version: number;
}

/** The whole minute it is, told anew when it is another. */
function useMinute(): number {
  const now = (): number => Math.floor(Date.now() / 60_000);
  const [minute, set] = useState(now);
  useEffect(() => {
    const timer = setInterval(() => set(now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  return minute;
}

export function SessionList({ host, store, shown }: ListProps): JSX.Element {
  const minute = useMinute();
  const root = useRef<HTMLElement>(null);
  const [current, setCurrent] = useState<string | null>(null);
  const [renaming, setRenaming] = useState<string | null>(null);
  const [menu, setMenu] = useState<string | null>(null);
  const [making, setMaking] = useState(false);
  const groups = useMemo(() => grouped(store.rows.values(), minute * 60_000), [store.rows, minute]);
  const order = groups.flatMap(group => group.rows);
  const at = current !== null && store.rows.has(current) ? current : (order[0]?.id ?? null);

  const buttonOf = (id: string | null, what: 'data-row' | 'data-more'): HTMLElement | null =>
    id === null ? null
    : root.current?.querySelector(`[data-id="${CSS.escape(id)}"] [${what}]`) ?? null;

  // A row that moves up loses the focus on the way, and one that goes leaves it to the page.
  const focused = useRef<string | null>(null);
  const renamed = useRef(false);
  useLayoutEffect(() => {
    const active = document.activeElement;
    const lost = active === null || active === document.body;
    if (renaming === null && lost && (focused.current !== null || renamed.current)) {
      renamed.current = false;
      (buttonOf(at, 'data-row') ?? root.current?.querySelector<HTMLElement>('input'))?.focus();
    }
  });

  const actions = useMemo<RowActions>(() => ({
    open: (id, seq) => host.open(id, seq),
    rename: id => {
      renamed.current = id === null;
      setRenaming(id);
    },
    renamed: (id, title) => void store.rename(id, title),
    menu: id => setMenu(now => (now === id ? null : id)),
    here: id => {
      focused.current = id;
      setCurrent(id);
    }
  }), [host, store]);

  const remove = (row: Brief): void => {
    const place = order.indexOf(row);
    setCurrent((order[place + 1] ?? order[place - 1])?.id ?? null);
    void store.remove(row.id);
  };
  const itemsOf = (row: Brief): MenuItem[] => [
    { label: t('Open'), run: () => host.open(row.id) },
    { label: t('Rename'), keys: 'F2', run: () => setRenaming(row.id) },
    { label: t('Fork'), run: () => void store.fork(row.id) },
    row.status === 'ended' || row.status === 'failed'
      ? { label: t('Resume'), run: () => void store.resume(row.id) }
      : { label: t('End'), run: () => void store.end(row.id) },
    { label: t('Delete'), keys: 'Delete', run: () => remove(row) }
  ];

  const onKey = (event: KeyboardEvent): void => {
    event.stopPropagation();
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || !target.closest('[data-id]')) {
      if (event.key === 'ArrowDown' && target instanceof HTMLInputElement) {
        event.preventDefault();
        buttonOf(at, 'data-row')?.focus();
      }
      return;
    }
    const place = order.findIndex(row => row.id === at);
    const row = order[place];
    const go = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: order.length - 1 }[event.key];
    if (go !== undefined) {
      event.preventDefault();
      const next = order[Math.max(0, Math.min(go, order.length - 1))];
      buttonOf(next?.id ?? null, 'data-row')?.focus();
      if (go >= order.length - 3) {
        void store.readMore();
      }
    } else if (row && event.key === 'F2') {
      event.preventDefault();
      setRenaming(row.id);
    } else if (row && event.key === 'Delete') {
      event.preventDefault();
      remove(row);
    } else if (row && (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey))) {
      event.preventDefault();
      setMenu(row.id);
    }
  };

  const searched = store.query.trim();
  const menuRow = menu === null ? undefined : store.rows.get(menu);
  const menuAt = buttonOf(menu, 'data-more');
  const create = (): void => {
    if (host.create) {
      host.create();
    } else {
      setMaking(!making);
    }
  };
  return (
    <nav class="al al-sessions" aria-label={t('Agent sessions')} ref={root} onKeyDown={onKey}
      onFocusOut={event => {
        // What is taken off the page has no successor; what a person leaves has one, or the window.
        if (event.relatedTarget !== null || (event.target as Element).isConnected) {
          queueMicrotask(() => {
            if (!root.current?.contains(document.activeElement) && document.activeElement !== document.body) {
              focused.current = null;
            }
          });
        }
      }}>
      <div class="al-sessions-head">
        <h2>{t('Agent sessions')}</h2>
        {host.alerts && <Bell alerts={host.alerts} />}
        <button type="button" class="al-button al-quiet" onClick={create}
          aria-expanded={host.create ? undefined : making}>
          <Icon name="plus" />{t('New')}
        </button>
      </div>
      {making && <NewSession store={store} folder={host.folder()} done={() => setMaking(false)} />}
      <div class="al-search">
        <Icon name="search" />
        <input type="search" class="al-field" placeholder={t('Search titles and text')}
          aria-label={t('Search titles and text')} value={store.query}
          onInput={event => store.search(event.currentTarget.value)}
          onKeyDown={event => {
            if (event.key === 'Escape' && store.query) {
              event.preventDefault();
              store.search('');
            }
          }} />
      </div>
      {store.gate && <GateCard gate={store.gate} close={() => store.closeGate()} />}
      {store.trouble && (
        <div class="al-card-note al-tone-error" role="alert">
          <Icon name="warning" />
          <div>
            <p><Visible text={store.trouble} /></p>
            <div class="al-buttons">
              <button type="button" class="al-link" onClick={() => store.forgive()}>{t('Close')}</button>
            </div>
          </div>
        </div>
      )}
      <div class="al-rows">
        {store.state === 'loading' && <p class="al-sessions-say" role="status">{t('Loading sessions…')}</p>}
        {store.state === 'failed' && (
          <div class="al-card-note al-tone-error" role="alert">
            <Icon name="plug" />
            <div>
              <h3>{t('The sessions could not be read')}</h3>
              <p><Visible text={store.problem} /></p>
              <div class="al-buttons">
                <button type="button" class="al-button" onClick={() => void store.read()}>{t('Try again')}</button>
              </div>
            </div>
          </div>
        )}
        {groups.map(({ heading, rows }) => (
          <section key={heading} aria-label={headingWords(heading)}>
            <h3 class="al-group"><span>{headingWords(heading)}</span><span>{rows.length}</span></h3>
            <ul>
              {rows.map(row => (
                <SessionRow key={row.id} row={row} hits={store.hits.get(row.id)} query={searched} minute={minute}
                  current={row.id === at} shown={row.id === shown} renaming={row.id === renaming}
                  menuOpen={row.id === menu} actions={actions} />
              ))}
            </ul>
          </section>
        ))}
        {store.state === 'ready' && order.length === 0 && (
          searched
            ? <p class="al-sessions-say" role="status">{t('Nothing found for “{words}”.', { words: searched })}</p>
            : (
              <div class="al-sessions-say">
                <p><strong>{t('No sessions yet')}</strong></p>
                <p>{t('A session is a conversation with an agent that works in one of your folders.')}</p>
                <div class="al-buttons">
                  <button type="button" class="al-button al-primary" onClick={create}>{t('New session')}</button>
                </div>
                <Readiness host={host} path={host.folder()} all />
              </div>
            )
        )}
        {store.cursor !== null && <More store={store} />}
        {store.state === 'ready' && <Cli store={store} minute={minute} query={searched} />}
      </div>
      {store.deleted && (
        <div class="al-undo" role="status">
          <span class="al-cut">{t('“{title}” is deleted.', { title: store.deleted.title })}</span>
          <button type="button" class="al-link" onClick={() => void store.undo()}>{t('Undo')}</button>
        </div>
      )}
      <div class="al-sessions-foot">
        <span role="status">
          {store.lost === 'signed out' ? t('You are no longer signed in; reload the page.')
            : store.lost ? t('The connection is lost; trying again.')
            : searched && store.state === 'ready' ? store.cursor === null ? tn('{n} found', '{n} found', order.length)
                : tn('{n} found, and more', '{n} found, and more', order.length)
              : ''}
        </span>
        {host.page && <a class="al-link" href={host.page} target="_blank" rel="noopener">{t('Open as page')}</a>}
      </div>
      {menuRow && menuAt && (
        <RowMenu label={t('Actions for {title}', { title: menuRow.title })} items={itemsOf(menuRow)} at={menuAt}
          close={toButton => {
            setMenu(null);
            if (toButton) {
              menuAt.focus();
            }
          }} />
      )}
    </nav>
  );
}

/** Asks for the next page when it comes near; a button where that does not happen by itself. */
function More({ store }: { store: SessionStore }): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(entries => {
      if (entries.some(entry => entry.isIntersecting)) {
        void store.readMore();
      }
    }, { root: at.current?.closest('.al-rows') ?? null, rootMargin: '600px 0px' });
    if (at.current) {
      watch.observe(at.current);
    }
    return () => watch.disconnect();
    // Watched anew after each page: one that leaves this line in sight gives no new crossing.
  }, [store.cursor]);
  return (
    <div class="al-sessions-say" ref={at}>
      <button type="button" class="al-link" onClick={() => void store.readMore()}>{t('Show more')}</button>
    </div>
  );
}

function Cli({ store, minute, query }: { store: SessionStore; minute: number; query: string }): JSX.Element {
  const [open, set] = useState(false);
  const found = store.cli?.filter(each => each.title.toLowerCase().includes(query.toLowerCase()));
  return (
    <section aria-label={t('Also made in the CLI')}>
      <h3 class="al-group">
        <button type="button" class="al-group-fold" aria-expanded={open} onClick={() => {
          set(!open);
          if (!open) {
            void store.readCli();
          }
        }}>
          <Icon name={open ? 'chevronDown' : 'chevronRight'} class="al-small-icon" />
          <span>{t('Also made in the CLI')}</span>
          <span>{found?.length}</span>
        </button>
      </h3>
      {open && found === undefined && <p class="al-sessions-say" role="status">{t('Looking…')}</p>}
      {open && found?.length === 0 && (
        <p class="al-sessions-say">
          {query && store.cli?.length ? t('Nothing found for “{words}”.', { words: query })
            : t('The agent’s own program has made nothing else in the folders here.')}
        </p>
      )}
      {open && (
        <ul>
          {found?.map(each => (
            <li class="al-row al-mark-idle" key={each.agent_session_id}>
              <button type="button" class="al-row-open" disabled={store.busy} onClick={() => void store.take(each)}>
                <Icon name="shell" />
                <span class="al-row-title">
                  {markTitle(each.title, query).map(({ text, hit }) => hit ? <mark>{text}</mark> : <Visible text={text} />)}
                </span>
                <time dateTime={each.updated_at}>{age(each.updated_at, minute * 60_000)}</time>
                <span class="al-row-what">{t('Resume here')}{' · '}<Visible text={each.path || '/'} /></span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {open && !store.cliComplete && <p class="al-sessions-say">{t('There are more, older ones.')}</p>}
    </section>
  );
}

function NewSession({ store, folder, done }: { store: SessionStore; folder: string; done(): void }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const known = [...new Set([...store.rows.values()].map(row => row.path))].slice(0, 50);
  return (
    <form class="al-new" onSubmit={event => {
      event.preventDefault();
      const path = field.current?.value.trim() ?? '';
      done();
      void store.create(path.replace(/^\/+/, ''));
    }} onKeyDown={event => {
      if (event.key === 'Escape') {
        event.preventDefault();
        done();
      }
    }}>
      <input ref={field} class="al-field" aria-label={t('Folder of the new session')} list="al-folders"
        placeholder={t('Folder; empty: the top one')} defaultValue={folder} />
      <datalist id="al-folders">{known.map(path => <option value={path} />)}</datalist>
      <button type="submit" class="al-button al-primary">{t('Start')}</button>
    </form>
  );
}

function Bell({ alerts }: { alerts: NonNullable<SessionsHost['alerts']> }): JSX.Element {
  const [state, set] = useState(alerts.state());
  useEffect(() => alerts.onChange(() => set(alerts.state())), [alerts]);
  const label =
    state === 'blocked' ? t('The browser blocks notifications of this page; allow them in its settings')
    : t('Notify me outside of this page');
  return (
    <button type="button" class={`al-button al-quiet al-square al-bell ${state === 'on' ? 'al-on' : ''}`} aria-label={label}
      title={label} aria-pressed={state === 'on'} disabled={state === 'blocked'}
      onClick={() => void alerts.toggle().then(() => set(alerts.state()))}>
      <svg class="al-icon" viewBox="0 0 16 16" aria-hidden="true">
        <path d="M3.5 11.5h9l-1-1.7V7a3.5 3.5 0 00-7 0v2.8zM6.7 13.5h2.6" />
        {state !== 'on' && <path d="M2.5 2.5l11 11" />}
      </svg>
    </button>
  );
}
