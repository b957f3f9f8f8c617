import assert from 'node:assert/strict';
import test from 'node:test';

import { idsOf } from '../../src/lab/cellIds';

const IDS = ['b500292d', '79aa29b3', '64c3f30e'];

void test('cells of a format without ids get those that the server gives them', () => {
  // tests/notebook/test_tools.py has the same.
  const cell = (source: string, cell_type = 'code') => ({ source, cell_type });
  assert.deepEqual(idsOf([cell('a'), cell('a'), cell('é\n', 'markdown')]), IDS);
});
