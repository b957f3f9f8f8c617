import assert from 'node:assert/strict';
import test from 'node:test';
import { about, bytes, chipOf, worthNaming } from '../../src/view/variables.js';

const frame = {
  name: 'df', type: 'pandas.DataFrame', kind: 'table', shape: [1_200_000, 3], size: 134_400_000,
  columns: [['region', 'object'], ['amount', 'float64']]
} as const;

test('a table is told by its extent and its weight', () => {
  assert.equal(about(frame), 'DataFrame 1,200,000 × 3, 134 MB');
  assert.equal(about({ name: 'x', type: 'int', kind: 'number', value: '41' }), 'int, 41');
  assert.equal(about({ name: 'a', type: 'numpy.ndarray', kind: 'array', shape: [3, 4], dtype: 'float32', size: 48 }),
    'ndarray float32 3 × 4, 48 B');
  assert.equal(about({ name: 'l', type: 'list', kind: 'collection', length: 2, size: 72, value: '[int, str]' }),
    'list 2 items, [int, str]');
});

test('what leaves is the schema', () => {
  assert.deepEqual(chipOf(frame), {
    type: 'variable', label: 'df', name: 'df',
    text: 'df: DataFrame 1,200,000 × 3, 134 MB\n  region: object\n  amount: float64\n  … 1 more columns'
  });
});

test('sizes have two or three figures', () => {
  assert.deepEqual([999, 1000, 12_345, 123_456, 5e9].map(bytes), ['999 B', '1.0 kB', '12 kB', '123 kB', '5.0 GB']);
});

test('the newest is first, and what cannot be read is left out', () => {
  const answer = { variables: [{ name: 'os', type: 'module', kind: 'module' }, { name: 'a', type: 'int', kind: 'number' }, frame, {}] };
  assert.deepEqual(worthNaming(answer).map(one => one.name), ['df', 'a']);
  assert.deepEqual(worthNaming(undefined), []);
});
