/** The list's words, headings and marks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Brief } from '../../src/changes.js';
import { age, grouped, headingOf, markOf, markTitle, piecesOf } from '../../src/view/sessionMark.js';

const NOW = new Date(2026, 10, 20, 12).getTime();
const at = (hours: number): string => new Date(NOW - hours * 3_600_000).toISOString();

function brief(change: Partial<Brief>): Brief {
  return {
    id: 'a', title: 'A', agent: 'claude', model: null, status: 'idle', status_reason: null, unseen: false,
    path: '', cwd: '/root', notebook: null, cost_usd: null, cost_source: null, parent_id: null,
    pending_permissions: [], updated_at: at(1), ...change
  };
}
const asked = [{ request_id: 'r', kind: 'tool' as const, title: 'Bash pip', options: [] }];

test('what waits says so before all else, unless it is being stopped', () => {
  assert.equal(markOf(brief({ status: 'awaiting_permission', pending_permissions: asked })).tone, 'wait');
  assert.equal(markOf(brief({ status: 'cancelling', pending_permissions: asked })).text, 'Stopping');
  assert.equal(markOf(brief({ status: 'running', unseen: true })).tone, 'run');
  assert.equal(markOf(brief({ unseen: true })).tone, 'new');
  assert.equal(markOf(brief({ status: 'ended', unseen: true })).tone, 'new');
  assert.equal(markOf(brief({ status: 'failed', status_reason: 'no key' })).text, 'Failed: no key');
});

test('no two states look alike by shape alone', () => {
  const shapes = [
    brief({ status: 'awaiting_permission', pending_permissions: asked }), brief({ status: 'running' }),
    brief({ unseen: true }), brief({}), brief({ status: 'failed' }), brief({ status: 'ended' })
  ].map(each => markOf(each).icon);
  assert.equal(new Set(shapes).size, shapes.length);
});

test('headings go by the reader’s days', () => {
  assert.equal(headingOf(brief({ status: 'running', updated_at: at(900) }), NOW), 'active');
  assert.equal(headingOf(brief({ unseen: true, updated_at: at(2) }), NOW), 'active');
  assert.equal(headingOf(brief({ unseen: true, updated_at: at(50) }), NOW), 'week');
  assert.equal(headingOf(brief({ updated_at: at(11) }), NOW), 'today');
  assert.equal(headingOf(brief({ updated_at: at(13) }), NOW), 'yesterday');
  assert.equal(headingOf(brief({ updated_at: at(24 * 9) }), NOW), 'earlier');
});

test('active first, what waits before what works, then the newest', () => {
  const rows = [
    brief({ id: 'old', updated_at: at(5) }), brief({ id: 'new', updated_at: at(1) }),
    brief({ id: 'works', status: 'running', updated_at: at(0) }),
    brief({ id: 'waits', status: 'awaiting_permission', pending_permissions: asked, updated_at: at(9) })
  ];
  assert.deepEqual(
    grouped(rows, NOW).map(group => [group.heading, group.rows.map(row => row.id)]),
    [['active', ['waits', 'works']], ['today', ['new', 'old']]]
  );
});

test('ages are short', () => {
  assert.deepEqual(
    [0.001, 0.2, 3, 30, 80].map(hours => age(at(hours), NOW)),
    ['now', '12 min', '3 h', '1 day', '3 days']
  );
  assert.equal(age(new Date(NOW + 60_000).toISOString(), NOW), 'now');
});

test('hits come apart at their marks, torn ones too', () => {
  assert.deepEqual(piecesOf('a \u0002b\u0003 c \u0002d'), [
    { text: 'a ', hit: false }, { text: 'b', hit: true }, { text: ' c ', hit: false }, { text: 'd', hit: true }
  ]);
  assert.deepEqual(piecesOf('plain'), [{ text: 'plain', hit: false }]);
});

test('a title is marked by the words of the search, which are no pattern', () => {
  assert.deepEqual(markTitle('Fix (A+) and fix', 'fix a+').filter(piece => piece.hit).map(piece => piece.text), ['Fix', 'A+', 'fix']);
  assert.deepEqual(markTitle('As it is', ''), [{ text: 'As it is', hit: false }]);
});
