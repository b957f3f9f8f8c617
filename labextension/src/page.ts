/**
 * Host 2: the page without JupyterLab. The list and the session beside it; on a phone one of the two,
 * with a way back. The address says which session, so that a reload and a link lead there.
 */

import { sessionAt } from './address.js';
import { BrowserAlerts } from './alerts.js';
import type { Answer } from './alerts.js';
import { catalogue } from './catalogue.js';
import type { Words } from './catalogue.js';
import { Changes } from './changes.js';
import { Notifier } from './notifier.js';
import type { News } from './notifier.js';
import { mountChat, mountSessions, serverHost } from './panel.js';
import type { ChatHandle } from './view/host.js';
import { speak, t } from './view/i18n.js';

const NAME = 'Agent Lab';
const PAGES = 'agent-lab/sessions';

/** What the server wrote into the page: the part of the address before ours, the reader's language. */
const config = JSON.parse(document.getElementById('jupyter-config-data')?.textContent ?? '{}') as
  { baseUrl?: string; locale?: string; words?: Words };
const base = config.baseUrl ?? '/';
const translator = catalogue(config.words ?? {});
speak(translator);
document.documentElement.lang = config.locale ?? 'en';

const server = serverHost('', base);
const changes = new Changes(() => server.socketUrl(`${server.wsApi}/changes`));
const alerts = new BrowserAlerts(`${base}agent-lab/`);

function element(tag: 'div' | 'main' | 'button' | 'aside' | 'p', name: string): HTMLElement {
  const node = document.createElement(tag);
  node.className = name;
  return node;
}

const body = element('div', 'al-page');
const aside = element('aside', 'al-page-list');
const main = element('main', 'al-page-session');
const bar = element('div', 'al-page-bar');
const back = element('button', 'al-page-back') as HTMLButtonElement;
const place = element('div', 'al-page-chat');
const nothing = element('p', 'al-page-nothing');
back.type = 'button';
back.textContent = `← ${t('Sessions')}`;
nothing.textContent = t('Choose a session, or begin a new one.');
bar.append(back);
main.append(bar, place, nothing);
body.append(aside, main);

let shown: string | null = null;
let chat: ChatHandle | undefined;

const notifier = new Notifier({
  changes,
  api: server.api,
  fetch: url => server.fetch(url),
  wants: () => alerts.state() === 'on',
  tell: news => {
    alerts.show({
      key: news.key,
      title: news.session.title,
      body:
        news.kind === 'permission' ? t('Permission needed: {title}', { title: news.text })
        : news.kind === 'failed' ? t('The turn failed: {message}', { message: news.text })
        : news.text || t('The agent has finished'),
      icon: `${base}static/agent_lab/icon-192.png`,
      url: addressOf(news.session.id),
      answers: answersOf(news),
      click: () => go(news.session.id)
    });
  },
  takeBack: key => alerts.takeBack(key)
});

const sessions = mountSessions(aside, {
  api: server.api,
  fetch: (input, init) => server.fetch(input, init),
  changes,
  folder: () => '',
  open: (id, seq) => go(id, seq),
  alerts,
  ...translator
});

/** What lasts is not granted from the corner of an eye: the panel says its scope. */
function answersOf({ permission, session }: News): Answer[] {
  const once = permission?.kind === 'tool'
    ? permission.options.filter(({ kind }) => kind === 'allow_once' || kind === 'reject_once') : [];
  return once.map(({ kind, option_id }) => ({
    id: kind,
    label: kind === 'allow_once' ? t('Allow once') : t('Reject'),
    give: () => {
      const route = `sessions/${encodeURIComponent(session.id)}/permissions/${encodeURIComponent(permission?.request_id ?? '')}`;
      // Refused: somebody was first. Not reached: the question still waits there and is told again.
      void server.fetch(`${server.api}/${route}`, { method: 'POST', body: JSON.stringify({ option_id }) })
        .catch(() => undefined);
    }
  }));
}

function addressOf(id: string | null): string {
  return `${base}${PAGES}${id === null ? '' : `/${encodeURIComponent(id)}`}`;
}

function go(id: string | null, seq?: number): void {
  if (id !== shown) {
    history.pushState(null, '', addressOf(id));
    show(id);
  }
  if (seq !== undefined) {
    chat?.showAt?.(seq);
  }
}

function show(id: string | null): void {
  if (id === shown) {
    return;
  }
  chat?.dispose();
  chat = undefined;
  shown = id;
  place.replaceChildren();
  body.classList.toggle('al-page-one', id !== null);
  nothing.hidden = id !== null;
  document.title = NAME;
  sessions.select(id);
  if (id === null) {
    sessions.focus();
    return;
  }
  let looking = false;
  const root = element('div', 'al-page-root');
  place.append(root);
  const mounted = mountChat(root, {
    ...serverHost(id, base),
    ...translator,
    changes,
    openSession: other => go(other),
    onTitle: (title, status) => {
      if (id === shown) {
        document.title = `${title} · ${status}`;
      }
    },
    onLook: visible => {
      if (visible !== looking) {
        looking = visible;
        notifier.look(id, visible);
      }
    }
  });
  chat = mounted;
  // A touch keyboard would cover what there is to read.
  if (!matchMedia('(pointer: coarse)').matches) {
    mounted.focus();
  }
}

function readAddress(): void {
  show(sessionAt(location.pathname, `${base}${PAGES}/`));
}

back.addEventListener('click', () => go(null));
window.addEventListener('popstate', readAddress);

// What signs in stays in no history and no link that is passed on.
const address = new URL(location.href);
if (address.searchParams.has('token')) {
  address.searchParams.delete('token');
  history.replaceState(null, '', address);
}
body.classList.add('al-root');
document.body.append(body);
readAddress();
