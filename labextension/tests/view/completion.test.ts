/** What `@` and `/` ask for, and what fits it in which order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { askedAt, fitting, match, suggested } from '../../src/view/completion';
import type { Group, Offer } from '../../src/view/completion';

const offer = (group: Group, label: string, detail = ''): Offer => ({ id: label, group, icon: 'read', label, detail });
const labels = (offers: readonly Offer[], query: string): string[] =>
  fitting(offers, query).map(found => found.offer.label);

test('a word after @ asks, an address does not', () => {
  assert.deepEqual(askedAt('see @ord', 8), { kind: 'mention', from: 4, to: 8, query: 'ord' });
  assert.deepEqual(askedAt('@', 1), { kind: 'mention', from: 0, to: 1, query: '' });
  assert.deepEqual(askedAt('(@a', 3), { kind: 'mention', from: 1, to: 3, query: 'a' });
  assert.deepEqual(askedAt('line\n@a/b.c', 10), { kind: 'mention', from: 5, to: 10, query: 'a/b.' });
  assert.equal(askedAt('me@example.org', 14), undefined);
  assert.equal(askedAt('@ord and', 8), undefined, 'the word is over');
  assert.equal(askedAt('', 0), undefined);
});

test('a command is the first word of all, and nothing else', () => {
  assert.deepEqual(askedAt('/com', 4), { kind: 'command', from: 0, to: 4, query: 'com' });
  assert.deepEqual(askedAt('/com it', 4), { kind: 'command', from: 0, to: 4, query: 'com' });
  assert.equal(askedAt('/compact', 4), undefined, 'the caret is inside the word');
  assert.equal(askedAt('/compact now', 12), undefined);
  assert.equal(askedAt('and /com', 8), undefined);
  assert.equal(askedAt('/home/me', 8), undefined);
});

test('the name of a path counts more than its folders, and letters apart count least', () => {
  const files = ['src/orders/index.ts', 'orders.csv', 'my_orders.csv', 'reorders.csv', 'o/r/d.txt'];
  assert.deepEqual(labels(files.map(each => offer('file', each)), 'ord'),
    ['orders.csv', 'my_orders.csv', 'reorders.csv', 'src/orders/index.ts', 'o/r/d.txt']);
  assert.deepEqual(match('ord', 'data/orders.csv')?.at, [5, 6, 7]);
  assert.deepEqual(match('ODC', 'orders.csv')?.at, [0, 2, 7]);
  assert.equal(match('xyz', 'orders.csv'), undefined);
  assert.equal(match('deep', 'src/deep/')?.rank, 1, 'a folder is named by its last part');
});

test('groups stay together, the one with the best match first', () => {
  const offers = [
    offer('session', 'orders of May'), offer('file', 'x/old_orders.csv'), offer('file', 'orders.csv'), offer('cell', '[7]', 'orders.sum()')
  ];
  assert.deepEqual(labels(offers, 'orders'), ['orders.csv', 'x/old_orders.csv', 'orders of May', '[7]']);
  assert.deepEqual(labels(offers, ''), ['[7]', 'x/old_orders.csv', 'orders.csv', 'orders of May']);
});

test('Enter takes only what was plainly meant', () => {
  const offers = [offer('file', 'notes.md', 'about orders')];
  const asks = (text: string): number => {
    const asked = askedAt(text, text.length)!;
    return suggested(fitting(offers, asked.query), asked);
  };
  assert.equal(asks('@'), -1);
  assert.equal(asks('@not'), 0);
  assert.equal(asks('@nts'), -1);
  assert.equal(asks('@orders'), -1);
  assert.equal(asks('@zzz'), -1);
});

test('a hundred offers of a kind do not hide the others', () => {
  const many = Array.from({ length: 100 }, (_, i) => offer('file', `f${i}`));
  assert.ok(fitting([...many, offer('session', 'f of old')], 'f').length <= 9);
  const commands = Array.from({ length: 100 }, (_, i) => offer('command', `c${i}`));
  assert.equal(fitting(commands, '').length, 100, 'all commands can be looked through');
});
