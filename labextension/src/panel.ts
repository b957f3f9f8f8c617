/** Host 1, and the entry of the one bundle: an anywidget in a notebook cell; JupyterLab takes `mountChat` from here. */
import { mountChat } from './view';
import type { ChatHost } from './view/host';
import { widgetHost } from './widgetHost';
import type { MessageModel } from './widgetHost';

export { mountChat } from './view';
export { followProposals } from './view/proposals';
export { mountSessions } from './view/sessions';

/** The part of anywidget's model that a chat in a cell reads. */
interface WidgetModel extends MessageModel {
  get(name: 'session_id' | 'base_url'): string;
  get(name: 'over_widget'): boolean;
  on(name: string, callback: (content: unknown) => void): void;
  off(name: string, callback: (content: unknown) => void): void;
}

/** What Jupyter's pages say about themselves in the `jupyter-config-data` script. */
interface PageConfig {
  baseUrl?: string;
  wsUrl?: string;
  token?: string;
}

function readPageConfig(): PageConfig {
  const script = document.getElementById('jupyter-config-data');
  if (!script?.textContent) {
    return {};
  }
  try {
    return JSON.parse(script.textContent) as PageConfig;
  } catch {
    return {};
  }
}

function readCookie(name: string): string | null {
  const found = document.cookie.split('; ').find(pair => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

/**
 * A host for any page that our own server delivered.
 *
 * The page's login cookie authenticates; Jupyter Server wants the XSRF cookie repeated as a header.
 * `baseUrl` is the fallback where the page does not say its own, as a path or an absolute URL.
 */
export function serverHost(sessionId: string, baseUrl = '/'): ChatHost {
  const page = readPageConfig();
  const base = new URL(page.baseUrl ?? baseUrl, location.href);
  const api = new URL('agent-lab/api', base.href.endsWith('/') ? base : `${base.href}/`);
  const sockets = new URL(api);
  sockets.protocol = sockets.protocol === 'https:' ? 'wss:' : 'ws:';
  return {
    api: api.href,
    wsApi: sockets.href,
    sessionId,
    fetch(input, init = {}) {
      const headers = new Headers(init.headers);
      const xsrf = readCookie('_xsrf');
      if (page.token) {
        headers.set('Authorization', `token ${page.token}`);
      }
      if (xsrf !== null) {
        headers.set('X-XSRFToken', xsrf);
      }
      return fetch(input, { ...init, headers, credentials: 'same-origin', cache: 'no-store' });
    },
    // The cookie goes with the upgrade request, so the address is complete as it is.
    socketUrl: url => url
  };
}

/** Keeps the notebook's shortcuts out of the chat: without it Shift+Enter runs the cell under the widget. */
export function keepKeys(root: HTMLElement): void {
  root.setAttribute('data-lm-suppress-shortcuts', 'true');
  // The attribute stops the commands but not the default action behind them: Shift+Enter lost its new line.
  root.addEventListener('keydown', event => {
    event.stopPropagation();
  });
}

function render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
  keepKeys(el);
  const mount = (): (() => void) => {
    const sessionId = model.get('session_id');
    if (!model.get('over_widget')) {
      const handle = mountChat(el, serverHost(sessionId, model.get('base_url')));
      return () => handle.dispose();
    }
    const host = widgetHost(model, sessionId);
    const handle = mountChat(el, host);
    return () => {
      handle.dispose();
      host.dispose();
    };
  };
  let unmount = mount();
  const remount = () => {
    unmount();
    unmount = mount();
  };
  model.on('change:session_id', remount);
  return () => {
    model.off('change:session_id', remount);
    unmount();
  };
}

export default { render };
