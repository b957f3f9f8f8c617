/** Loads the panel's bundle the first time a panel opens: until then a page pays nothing for it. */
import { PageConfig, URLExt } from '@jupyterlab/coreutils';

import type { mountChat } from '../view';
import type { followProposals } from '../view/proposals';
import type { mountSessions } from '../view/sessions';

export interface Bundle {
  readonly mountChat: typeof mountChat;
  readonly followProposals: typeof followProposals;
  readonly mountSessions: typeof mountSessions;
}

let failures = 0;

/** Says for this server what was shown: in this tab the session's id, in this browser that there was one. */
const SHOWN = (): string => `agent-lab:panel-shown:${PageConfig.getBaseUrl()}`;

const addressOf = (): string => URLExt.join(PageConfig.getBaseUrl(), 'static/agent_lab/chat.js');

/**
 * Fetch the bundle beside all else that a page fetches at its start, where it will be wanted soon.
 *
 * Returns the session that the page before this one showed in this tab, "" where there was none: this page
 * is likely to come up with it, so the bundle is run too while the page still waits for its own parts.
 */
export function expectBundle(): string {
  try {
    const session = sessionStorage.getItem(SHOWN()) ?? '';
    // Both are set again by the panel; a page that shows none leaves the next one in peace.
    sessionStorage.removeItem(SHOWN());
    if (session !== '') {
      loadBundle().catch(() => undefined); // the panel tries again, and says what is wrong
      return session;
    }
    if (localStorage.getItem(SHOWN()) === null) {
      return '';
    }
    localStorage.removeItem(SHOWN());
  } catch {
    return ''; // a page that may keep nothing expects nothing
  }
  const link = document.createElement('link');
  link.rel = 'modulepreload';
  link.href = addressOf();
  document.head.append(link);
  return '';
}

/** A panel shows this session. */
export function rememberShown(session: string): void {
  try {
    sessionStorage.setItem(SHOWN(), session);
    localStorage.setItem(SHOWN(), '1');
  } catch {
    return; // the next page is only a little later
  }
}

/** The panel with this session was closed. */
export function forgetShown(session: string): void {
  try {
    if (sessionStorage.getItem(SHOWN()) === session) {
      sessionStorage.removeItem(SHOWN());
    }
  } catch {
    return;
  }
}

/**
 * Raises the browser's TypeError where the file cannot be had.
 *
 * The address carries no version: the server then answers `no-cache` with an ETag, so a page never
 * runs a bundle older than the server, and an unchanged one costs a 304.
 */
export async function loadBundle(): Promise<Bundle> {
  const url = addressOf();
  // A browser may remember a failed import for as long as the page lives, so the next try needs another address.
  const address = failures === 0 ? url : `${url}?try=${String(failures)}`;
  try {
    return (await import(/* webpackIgnore: true */ address)) as Bundle;
  } catch (error) {
    failures += 1;
    throw error;
  }
}
