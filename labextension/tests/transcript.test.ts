/** The TypeScript fold on the same fixtures, and with the same result, as the Python fold. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { decodeEvent, decodeSession, parseFrame } from '../src/protocol.js';
import type { Event, Session } from '../src/protocol.js';
import { Fold, fold } from '../src/transcript.js';

const folder = resolve(process.cwd(), '../tests/transcripts/fold');
const read = (name: string): string => readFileSync(resolve(folder, name), 'utf8');

function startSession(): Session {
  const session = decodeSession(JSON.parse(read('session.json')));
  assert.ok(!('type' in session), JSON.stringify(session));
  return session;
}

function events(name: string): Event[] {
  return read(name)
    .split('\n')
    .filter(line => line.trim())
    .map(line => {
      const event = decodeEvent(JSON.parse(line));
      assert.ok(!('type' in event), JSON.stringify(event));
      return event;
    });
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const names = readdirSync(folder).filter(name => name.endsWith('.jsonl'));

for (const name of names) {
  const expected: unknown = JSON.parse(read(name.replace('.jsonl', '.expected.json')));

  test(`${name}: the fold is the Python fold's`, () => {
    assert.deepEqual(plain(fold(startSession(), events(name))), expected);
  });

  test(`${name}: an older page before a newer one gives the same as both at once`, () => {
    const all = events(name);
    const whole = fold(startSession(), all);
    const ordered = all.filter((event, i) => all.slice(0, i).every(other => other.seq < event.seq));
    for (let cut = 0; cut <= ordered.length; cut += 1) {
      const paged = new Fold(whole.session);
      ordered.slice(cut).forEach(event => paged.push(event));
      const middle = Math.floor(cut / 2);
      paged.prepend(ordered.slice(middle, cut));
      paged.prepend(ordered.slice(0, middle));
      if (cut === ordered.length) {
        paged.transcript.last_seq = whole.last_seq;
      }
      assert.deepEqual(plain(paged), plain(whole), `cut before event ${cut}`);
    }
  });

  test(`${name}: events go on after an older page was put before`, () => {
    const all = events(name);
    const whole = fold(startSession(), all);
    const ordered = all.filter((event, i) => all.slice(0, i).every(other => other.seq < event.seq));
    for (let cut = 1; cut < ordered.length; cut += 1) {
      const paged = new Fold(startSession());
      const later = Math.ceil((cut + ordered.length) / 2);
      ordered.slice(cut, later).forEach(event => paged.push(event));
      paged.prepend(ordered.slice(0, cut));
      ordered.slice(later).forEach(event => paged.push(event));
      assert.deepEqual(plain(paged.transcript.items), plain(whole.items), `cut before event ${cut}`);
    }
  });

  test(`${name}: only the item an event is about is replaced`, () => {
    const folding = new Fold(startSession());
    for (const event of events(name)) {
      const before = [...folding.transcript.items];
      folding.push(event);
      const changed = before.filter((item, i) => folding.transcript.items[i] !== item);
      assert.ok(changed.length <= 1, `event ${event.seq} replaced ${changed.length} items`);
    }
  });
}

test('what stands between two halves that are joined is still found', () => {
  const event = (seq: number, body: object): Event => {
    const at = { seq, session_id: 's', turn_id: 't', time: '2026-01-01T00:00:00Z' };
    const decoded = decodeEvent({ ...at, ...body });
    assert.ok(!('type' in decoded), JSON.stringify(decoded));
    return decoded;
  };
  const said = (text: string): object => ({ type: 'agent_message_chunk', message_id: 'm', text });
  const call = { type: 'tool_call', tool_call_id: 'c', title: 'Look', name: 'Look', kind: 'other', status: 'pending' };
  const folding = new Fold(startSession());
  folding.push(event(9002, call));
  folding.push(event(9003, said(' there')));
  folding.prepend([event(9001, said('Hello'))]);
  folding.push(event(9004, { type: 'tool_call_update', tool_call_id: 'c', status: 'completed' }));
  folding.push(event(9005, said('!')));
  const [message, tool, ...more] = folding.transcript.items;
  assert.equal(message?.type === 'agent_message' && message.text, 'Hello there!');
  assert.equal(tool?.type === 'tool_call' && tool.status, 'completed');
  assert.deepEqual(more, []);
});

test('an event that is not understood is kept', () => {
  const frame = parseFrame('{"seq":1,"session_id":"s","turn_id":null,"time":"t","type":"new","x":1}');
  assert.equal(frame.type, 'event');
  assert.deepEqual(frame.type === 'event' && frame.event.body, {
    type: 'unknown',
    raw: { seq: 1, session_id: 's', turn_id: null, time: 't', type: 'new', x: 1 }
  });
});

test('what is no frame says so', () => {
  for (const text of ['', '{', '[]', '1', '{"type":"hello"}', '{"type":"usage"}', '{"type":"ack"}']) {
    assert.equal(parseFrame(text).type, 'bad', text);
  }
});
