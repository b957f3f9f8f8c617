/** Which parts of a long conversation are drawn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Item } from '../../src/transcript';
import { Chunks, grouped, Heights, isNear, nearIn, nearOf, wordsOf } from '../../src/view/chunks';
import { Sections } from '../../src/view/sections';

const prompt = (seq: number): Item =>
  ({ type: 'user_message', id: `u${seq}`, seq, content: [{ type: 'text', text: `asked ${seq}` }] }) as unknown as Item;
const said = (seq: number, parent: string | null = null): Item =>
  ({ type: 'agent_message', id: `m${seq}`, seq, text: `said ${seq}`, parent_tool_call_id: parent }) as unknown as Item;
const turns = (from: number, count: number): Item[] =>
  Array.from({ length: count }, (_, n) => [prompt(from + n * 8), said(from + n * 8 + 1)]).flat();

function drawn(items: Item[], sections = new Sections(), chunks = new Chunks()) {
  return chunks.update(sections.update(items));
}

test('chunks keep their key and their identity when others come before and after', () => {
  const sections = new Sections();
  const chunks = new Chunks();
  const items = turns(1000, 20);
  const before = drawn(items, sections, chunks);
  assert.ok(before.length >= 5);
  const after = drawn([...turns(200, 40), ...items, ...turns(1160, 4)], sections, chunks);
  const kept = after.filter(chunk => before.includes(chunk));
  assert.ok(kept.length >= before.length - 2);
  assert.equal(new Set(after.map(chunk => chunk.key)).size, after.length);
});

test('a changed item replaces its section and chunk only', () => {
  const sections = new Sections();
  const chunks = new Chunks();
  const items = turns(1, 40);
  const before = drawn(items, sections, chunks);
  items[21] = { ...items[21]!, text: 'said more' } as Item;
  const after = drawn(items, sections, chunks);
  assert.equal(after.filter(chunk => !before.includes(chunk)).length, 1);
});

test('a turn without end is drawn in parts, and a sub-agent stays with its call', () => {
  const long = [prompt(1), ...Array.from({ length: 500 }, (_, n) => said(n + 2))];
  const list = new Sections().update(long);
  assert.ok(list.length > 5);
  assert.ok(list.every(section => section.items.length <= 61));
  assert.deepEqual(list.flatMap(section => section.items), long);
  const nested = [prompt(1), ...Array.from({ length: 500 }, (_, n) => said(n + 2, 'call'))];
  assert.equal(new Sections().update(nested).length, 1);
});

test('what is in sight is drawn at once, its surroundings step by step, the rest not', () => {
  const chunks = drawn(turns(1, 2000));
  const heights = new Heights();
  const all = heights.sum(chunks, 0, chunks.length);
  const nothing = new Set<number>();
  const end = nearOf(chunks, heights, { top: 0, view: 1000, atEnd: true }, nothing, nothing);
  assert.ok(end.keys.has(chunks.at(-1)!.key));
  assert.ok(!end.keys.has(chunks[0]!.key));

  const sight = { top: all / 2, view: 1000, atEnd: false };
  let near = nearOf(chunks, heights, sight, nothing, nothing);
  const first = near.keys.size;
  assert.ok(near.more);
  for (let step = 0; near.more; step += 1) {
    assert.ok(step < 20);
    const grown = nearOf(chunks, heights, sight, near.keys, nothing);
    assert.ok(grown.keys.size <= near.keys.size + 1);
    near = grown;
  }
  assert.ok(near.keys.size > first);
  assert.ok(near.keys.size < 12, `${near.keys.size} of ${chunks.length}`);
  assert.ok(near.keys.has(chunks.at(-1)!.key), 'the newest is always there');

  const kept = nearOf(chunks, heights, { ...sight, top: 0 }, near.keys, new Set([chunks[400]!.key]));
  assert.ok(kept.keys.has(chunks[0]!.key));
  assert.ok(kept.keys.has(chunks[400]!.key), 'what is selected stays');
  assert.ok(kept.keys.size < 10, 'what was left is let go');
});

test('a guessed height stays when others are measured', () => {
  const chunks = drawn(turns(1, 40));
  const heights = new Heights();
  const guessed = heights.of(chunks[0]!);
  heights.measured(chunks[1]!, 5000);
  assert.equal(heights.of(chunks[0]!), guessed);
  assert.equal(heights.of(chunks[1]!), 5000);
  assert.notEqual(heights.of(chunks[2]!), guessed);
});

test('the words of what is not drawn can be searched', () => {
  const [chunk] = drawn(turns(1, 2));
  assert.equal(wordsOf(chunk!), 'asked 1\nsaid 2\nasked 9\nsaid 10');
});

test('of markdown, what is read together is found together', () => {
  const text = '## A title\n\nThe **mean of `region`** is 2 * 3.';
  const [chunk] = drawn([prompt(1), { ...said(2), text } as Item]);
  assert.equal(wordsOf(chunk!), 'asked 1\nA title\n\nThe mean of region is 2 * 3.');
});

test('far chunks are few groups, and a group is another one only where a chunk of it is', () => {
  const sections = new Sections();
  const chunks = new Chunks();
  const items = turns(1, 2000);
  const list = drawn(items, sections, chunks);
  const before = grouped(list, []);
  assert.ok(before.length < list.length / 25);
  assert.deepEqual(before.flatMap(group => group.chunks), list);
  assert.equal(before.reduce((sum, group) => sum + group.size, 0), sections.list.length);
  assert.deepEqual(grouped(list, before), before);

  items[2001] = { ...items[2001]!, text: 'said more' } as Item;
  const after = grouped(drawn(items, sections, chunks), before);
  assert.equal(after.filter(group => !before.includes(group)).length, 1);
});

test('which chunks of a group are near is told by bits', () => {
  const list = drawn(turns(1, 2000));
  const groups = grouped(list, []);
  const keys = new Set([list[31]!.key, list[40]!.key]);
  const near = groups.flatMap(group => {
    const bits = nearIn(group, keys);
    return group.chunks.filter(chunk => isNear(chunk, bits));
  });
  assert.deepEqual(near, [list[31], list[40]]);
  assert.equal(groups.filter(group => nearIn(group, keys) === 0).length, groups.length - 2);
});
