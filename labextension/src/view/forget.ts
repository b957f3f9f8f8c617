/** What this browser keeps of sessions that were deleted for good goes, too; until then it waits for an undo. */

import { PREFIX } from './composerState.js';
import { dropHeavy, heavyKeys } from './heavy.js';
import { request } from './request.js';
import type { Requester } from './request.js';

/** The page has other things to do while it opens. */
const AFTER = 3000;
/** As many as the server answers for at once. */
const MOST = 100;

const sessionOf = (key: string): string => key.split(':', 1)[0] ?? '';

const draftKeys = (): readonly string[] => Object.keys(localStorage).filter(key => key.startsWith(PREFIX));

let begun = false;

/** Once a page. */
export function forgetDeleted(host: Requester): void {
  if (!begun) {
    begun = true;
    setTimeout(() => {
      // Not answered, or no storage: then the next page asks again.
      forget(host).catch(() => undefined);
    }, AFTER);
  }
}

async function forget(host: Requester): Promise<void> {
  const heavy = await heavyKeys();
  const ids = [...new Set([...draftKeys().map(key => key.slice(PREFIX.length)), ...heavy].map(sessionOf))];
  const gone = new Set<string>();
  for (let at = 0; at < ids.length; at += MOST) {
    const asked = encodeURIComponent(ids.slice(at, at + MOST).join(','));
    const said = (await request(host, 'GET', `forgotten?ids=${asked}`)) as { ids: readonly string[] };
    said.ids.forEach(id => gone.add(id));
  }
  for (const key of draftKeys().filter(each => gone.has(sessionOf(each.slice(PREFIX.length))))) {
    localStorage.removeItem(key);
  }
  await Promise.all(heavy.filter(key => gone.has(sessionOf(key))).map(dropHeavy));
}
