/** Loads the panel's bundle the first time a panel opens: until then a page pays nothing for it. */
import { PageConfig, URLExt } from '@jupyterlab/coreutils';

import type { mountChat } from '../view';
import type { mountSessions } from '../view/sessions';

export interface Bundle {
  readonly mountChat: typeof mountChat;
  readonly mountSessions: typeof mountSessions;
}

let failures = 0;

/**
 * Raises the browser's TypeError where the file cannot be had.
 *
 * The address carries no version: the server then answers `no-cache` with an ETag, so a page never
 * runs a bundle older than the server, and an unchanged one costs a 304.
 */
export async function loadBundle(): Promise<Bundle> {
  const url = URLExt.join(PageConfig.getBaseUrl(), 'static/agent_lab/chat.js');
  // A browser may remember a failed import for as long as the page lives, so the next try needs another address.
  const address = failures === 0 ? url : `${url}?try=${String(failures)}`;
  try {
    return (await import(/* webpackIgnore: true */ address)) as Bundle;
  } catch (error) {
    failures += 1;
    throw error;
  }
}
