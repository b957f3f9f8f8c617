/** Paths as they are seen from a session's folder, and the words of a cell's outputs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fromFolder, readOutputs } from '../../src/lab/references';

test('a dropped file is named from the session’s folder', () => {
  assert.equal(fromFolder('', 'a/b.csv'), 'a/b.csv');
  assert.equal(fromFolder('a', 'a/b.csv'), 'b.csv');
  assert.equal(fromFolder('a/b', 'a/c/d.csv'), '../c/d.csv');
  assert.equal(fromFolder('a', 'a'), '../a');
  assert.equal(fromFolder('ab', 'a/b'), '../a/b');
});

test('outputs are read as words, an error apart, a picture by its name', () => {
  const { text, error } = readOutputs([
    { output_type: 'stream', text: ['one\n', '\u001b[31mtwo\u001b[0m\n'] },
    { output_type: 'display_data', data: { 'image/png': 'AAAA' } },
    { output_type: 'execute_result', data: { 'text/plain': '   a\n0  1', 'text/html': '<table>' } },
    { output_type: 'error', ename: 'KeyError', evalue: "'x'", traceback: ['\u001b[31mTraceback\u001b[0m', 'KeyError'] }
  ]);
  assert.equal(text, 'one\ntwo\n\n<image/png>\n   a\n0  1');
  assert.deepEqual(error, { ename: 'KeyError', evalue: "'x'", traceback: 'Traceback\nKeyError' });
});

test('a long output keeps its beginning and its end', () => {
  const { text } = readOutputs([{ output_type: 'stream', text: `begin${'x'.repeat(50_000)}end` }]);
  assert.ok(text.length < 20_010);
  assert.ok(text.startsWith('begin') && text.endsWith('end'));
});
