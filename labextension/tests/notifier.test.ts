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

test('a cell change in sight is told of by nobody, until it is out of sight', context => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  kept.clear();
  let listener: ChangesListener | undefined;
  const told: string[] = [];
  const options = {
    changes: { listen: (given: ChangesListener) => {
      listener = given;
      return () => undefined;
    } } as unknown as Changes,
    api: '',
    fetch: () => Promise.reject(new Error('nobody is asked')),
    wants: () => true,
    tell: (news: { key: string }) => told.push(news.key),
    takeBack: (key: string) => told.push(`not ${key}`)
  };
  const notifier = new Notifier(options);
  const asked = (id: string): void => {
    const { pending_permissions: [permission], ...rest } = brief(id, null);
    listener?.onChange({ type: 'session', session: { ...rest, pending_permissions: [{ ...permission!, kind: 'cell_change' }] } });
  };
  asked('a');
  context.mock.timers.tick(500);
  notifier.see('a', 'p1', true);
  context.mock.timers.tick(10_000);
  assert.deepEqual(told, []);
  notifier.see('a', 'p1', false);
  context.mock.timers.tick(10_000);
  assert.deepEqual(told, ['a:ask:p1']);
  notifier.see('a', 'p1', true);
  assert.deepEqual(told, ['a:ask:p1', 'not a:ask:p1']);

  asked('b');
  context.mock.timers.tick(10_000);
  assert.deepEqual(told.at(-1), 'b:ask:p1');
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
