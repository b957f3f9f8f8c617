/** The list of sessions never shows less than it was told, whatever the order of list and changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Brief, Change, Changes, ChangesListener } from '../../src/changes';
import type { SessionsHost } from '../../src/view/sessionsHost';
import { SessionStore } from '../../src/view/sessionStore';

const brief = (id: string, title: string): Brief => ({
  id, title, agent: 'claude', model: null, status: 'idle', status_reason: null, unseen: false, path: '', cwd: '/w',
  notebook: null, cost_usd: null, cost_source: null, parent_id: null, pending_permissions: [],
  updated_at: '2026-01-01T00:00:00.000Z'
});

/** A server whose answers come when they are let go, and which tells when it is told to. */
class Server {
  readonly answers: ((ids: readonly string[]) => Promise<void>)[] = [];
  readonly listeners: ChangesListener[] = [];

  readonly host: SessionsHost = {
    api: 'http://127.0.0.1/api',
    changes: {
      listen: (one: ChangesListener) => {
        this.listeners.push(one);
        return () => undefined;
      }
    } as unknown as Changes,
    folder: () => '',
    open: () => undefined,
    fetch: () =>
      new Promise(resolve => {
        this.answers.push(async ids => {
          const sessions = ids.map(id => ({
            ...brief(id, id), workspace: { path: '', cwd: '/w' }, usage: { cost_usd: null, cost_source: null }
          }));
          resolve(new Response(JSON.stringify({ sessions, cursor: null })));
          await new Promise(done => setTimeout(done, 5));
        });
      })
  };

  tell(change: Change): void {
    this.listeners.forEach(each => each.onChange(change));
  }

  open(): void {
    this.listeners.forEach(each => each.onOpen?.(false));
  }
}

test('what is told while the list is read is not lost', async () => {
  const server = new Server();
  const store = new SessionStore(server.host, () => undefined);
  server.tell({ type: 'session', session: brief('new', 'Told at once') });
  server.tell({ type: 'deleted', id: 'old' });
  await server.answers[0]?.(['old', 'kept']);
  assert.deepEqual([...store.rows.keys()].sort(), ['kept', 'new']);
});

test('a list that was read before the connection stood is read anew', async () => {
  const server = new Server();
  const store = new SessionStore(server.host, () => undefined);
  await server.answers[0]?.([]);
  server.open();
  assert.equal(server.answers.length, 2);
  await server.answers[1]?.(['made in between']);
  assert.deepEqual([...store.rows.keys()], ['made in between']);
});
