/** What a file is, by its bytes; how much smaller it has to become. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fit, imageType, isLong, textIn } from '../../src/view/attachments';

const bytes = (text: string): Uint8Array => Uint8Array.from(text, letter => letter.charCodeAt(0));

test('pictures are known by how they begin', () => {
  assert.equal(imageType(bytes('\x89PNG\r\n\x1a\nrest')), 'image/png');
  assert.equal(imageType(bytes('\xff\xd8\xff\xe0')), 'image/jpeg');
  assert.equal(imageType(bytes('GIF89a')), 'image/gif');
  assert.equal(imageType(bytes('RIFF\0\0\0\0WEBPVP8 ')), 'image/webp');
  assert.equal(imageType(bytes('RIFF\0\0\0\0WAVEfmt ')), undefined);
  assert.equal(imageType(bytes('<svg xmlns="">')), undefined);
  assert.equal(imageType(bytes('')), undefined);
});

test('words are UTF-8 without zero bytes', () => {
  assert.equal(textIn(new TextEncoder().encode('grüße\n')), 'grüße\n');
  assert.equal(textIn(bytes('a\0b')), undefined);
  assert.equal(textIn(bytes('\xff\xfe')), undefined);
  assert.equal(textIn(bytes('')), '');
});

test('a picture keeps its shape', () => {
  assert.deepEqual(fit(9000, 4500, 2000), [2000, 1000]);
  assert.deepEqual(fit(10, 9000, 2000), [2, 2000]);
  assert.deepEqual(fit(1, 90_000, 2000), [1, 2000]);
  assert.deepEqual(fit(640, 480, 2000), [640, 480]);
});

test('a paste is long by its letters or by its lines', () => {
  assert.ok(!isLong('x'.repeat(2000)));
  assert.ok(isLong('x'.repeat(2001)));
  assert.ok(!isLong(Array(30).fill('line').join('\n')));
  assert.ok(isLong(Array(31).fill('line').join('\n')));
});
