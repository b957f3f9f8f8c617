/**
 * What is attached and too large for the browser's small storage, kept in its database over a reload.
 * Bounded in number, size and age; a browser that has no database keeps nothing, and says so.
 */

import type { Attached } from './attachments.js';

interface Entry {
  readonly key: string;
  /** Since 1970, in milliseconds. */
  readonly time: number;
  readonly attached: readonly Attached[];
}

const DATABASE = 'agent-lab';
const STORE = 'attached';
const BY_TIME = 'time';
/** Of one prompt, in characters. */
const LARGEST = 60_000_000;
const MOST = 20;
const OLDEST = 30 * 86_400_000;

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(STORE, { keyPath: 'key' }).createIndex(BY_TIME, BY_TIME);
    };
    asked.onsuccess = () => {
      const database = asked.result;
      // Whoever deletes it or brings a newer shape must not wait for this page.
      database.onversionchange = () => database.close();
      database.onclose = () => {
        opened = undefined;
      };
      resolve(database);
    };
    asked.onerror = () => reject(asked.error ?? new Error('no database'));
    asked.onblocked = () => reject(new Error('blocked'));
  });
  opened.catch(() => {
    opened = undefined;
  });
  return opened;
}

async function act<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  if (typeof indexedDB === 'undefined') {
    throw new Error('no database');
  }
  const database = await open();
  return new Promise<T>((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const asked = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('aborted'));
    // Not left to the page's end, which would abort it.
    transaction.commit();
  });
}

/** False where it cannot be kept: after a reload it has to be attached again. */
export async function keepHeavy(key: string, attached: readonly Attached[]): Promise<boolean> {
  if (attached.reduce((sum, each) => sum + sizeOf(each), 0) > LARGEST) {
    void dropHeavy(key);
    return false;
  }
  try {
    await act('readwrite', store => store.put({ key, time: Date.now(), attached } satisfies Entry));
    void prune();
    return true;
  } catch {
    return false;
  }
}

/** Nothing where nothing was kept, or can be read. */
export async function loadHeavy(key: string): Promise<readonly Attached[]> {
  try {
    return ((await act('readonly', store => store.get(key))) as Entry | undefined)?.attached ?? [];
  } catch {
    return [];
  }
}

export async function dropHeavy(key: string): Promise<void> {
  // None there, or no database: both leave nothing behind.
  await act('readwrite', store => store.delete(key)).catch(() => undefined);
}

export async function heavyKeys(): Promise<readonly string[]> {
  return act('readonly', store => store.getAllKeys()).then(keys => keys.map(String), () => []);
}

export const sizeOf = ({ block }: Attached): number =>
  block.type === 'image' ? block.data.length : block.text.length;

/** The oldest go when they are too many, and what nobody has come back to for a month. */
async function prune(): Promise<void> {
  const database = await open();
  const store = database.transaction(STORE, 'readwrite').objectStore(STORE);
  let left = 0;
  const cursor = store.index(BY_TIME).openKeyCursor(null, 'prev');
  cursor.onsuccess = () => {
    const at = cursor.result;
    if (at) {
      left += 1;
      if (left > MOST || Number(at.key) < Date.now() - OLDEST) {
        store.delete(at.primaryKey);
      }
      at.continue();
    }
  };
}
