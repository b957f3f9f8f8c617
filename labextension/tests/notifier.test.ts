/** What is worth a notification: a session's own news, never those of a review within it. */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Brief, Changes, ChangesListener } from '../src/changes.js';
import { Notifier } from '../src/notifier.js';

/** What the page of a browser has that Node has not: a tab in use, and its storage. */
const kept = new Map<string, string>();
const storage = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value)
};
Object.assign(globalThis, { document: { hidden: false, hasFocus: () => true } });
for (const name of ['localStorage', 'sessionStorage']) {
  Object.defineProperty(globalThis, name, { value: storage, configurable: true });
}

const brief = (id: string, parent: string | null): Brief => ({
  id, title: id, agent: 'claude', model: null, status: 'awaiting_permission', status_reason: null, unseen: false,
  path: '', cwd: '/', notebook: null, cost_usd: null, cost_source: null, parent_id: parent,
  pending_permissions: [{ request_id: 'p1', kind: 'tool', title: 'ls', options: [] }],
  updated_at: new Date().toISOString()
});

test('a review is told of by its parent alone', () => {
  let listener: ChangesListener | undefined;
  const told: string[] = [];
  new Notifier({
    changes: { listen: (given: ChangesListener) => {
      listener = given;
      return () => undefined;
    } } as unknown as Changes,
    api: '',
    fetch: () => Promise.reject(new Error('nobody is asked')),
    wants: () => true,
    tell: news => told.push(news.key),
    takeBack: () => undefined
  });
  listener?.onChange({ type: 'session', session: brief('review', 'parent') });
  assert.deepEqual(told, []);
  listener?.onChange({ type: 'session', session: brief('parent', null) });
  assert.deepEqual(told, ['parent:ask:p1']);
});
