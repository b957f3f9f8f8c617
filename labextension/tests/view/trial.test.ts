/** How two tries of a cell are compared: what is told is what the outputs say, and no more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Json, Trial, TrialSide } from '../../src/protocol';
import { compare, differenceOf, readTable } from '../../src/view/trial';

type Output = Record<string, Json>;
const side = (...outputs: Output[]): TrialSide => ({
  status: 'ok', seconds: 1, memory: 1000, outputs, text: '', error: ''
});
const trial = (before: TrialSide | null, after: TrialSide): Trial => ({ status: 'done', reason: '', source: null, before, after });
const print = (text: Json): Output => ({ output_type: 'stream', name: 'stdout', text });
const show = (data: Record<string, Json>): Output => ({ output_type: 'execute_result', data, metadata: {} });
const PNG = 'iVBORw0KGgo=';

const pandas = (columns: string[], rows: number, all = ''): string =>
  `<div><style scoped> .dataframe tbody tr th { color: red; } </style><table border="1" class="dataframe"><thead><tr style="text-align: right;"><th></th>` +
  `${columns.map(name => `<th>${name}</th>`).join('')}</tr></thead><tbody>` +
  `${'<tr><th>0</th><td>1</td></tr>'.repeat(rows)}</tbody></table>${all}</div>`;

test('texts are joined as a person sees them, and compared line by line', () => {
  const result = compare(trial(side(print(['one\n', 'two\n'])), side(print('one\n'), print('three\n'))));
  assert.deepEqual(result?.text?.map(({ sign, text }) => sign + text), [' one', '−two', '+three']);
  assert.equal(compare(trial(side(print('one\n')), side(print('one'))))?.text, null);
});

test('a table tells its rows and columns, also those that are not shown', () => {
  const old = show({ 'text/html': pandas(['a', 'b'], 2), 'text/plain': 'x' });
  const now = show({ 'text/html': pandas(['b', 'c &amp; d'], 10, '<p>1,200 rows × 2 columns</p>'), 'text/plain': 'y' });
  const pair = compare(trial(side(old), side(now)))?.tables[0];
  assert.deepEqual(
    [pair?.before?.rows, pair?.before?.width, pair?.after?.rows, pair?.after?.width], [2, 2, 1200, 2]
  );
  assert.deepEqual([pair?.added, pair?.removed], [['c & d'], ['a']]);
  assert.equal(pair?.dtypes, null, 'pandas does not tell them');
});

test('polars tells its dtypes', () => {
  const polars = (dtype: string): string =>
    '<div><small>shape: (3, 2)</small><table border="1" class="dataframe"><thead><tr><th>a</th><th>b</th></tr>' +
    `<tr><td>i64</td><td>${dtype}</td></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>`;
  const result = compare(trial(side(show({ 'text/html': polars('str') })), side(show({ 'text/html': polars('f64') }))));
  assert.deepEqual(result?.tables[0]?.dtypes, ['b: str → f64']);
  assert.equal(result?.tables[0]?.after?.rows, 3);
});

test('a table whose columns are cut off names none of them', () => {
  const table = readTable(pandas(['a', '...', 'z'], 3, '<p>3 rows × 40 columns</p>'), '');
  assert.deepEqual(table, { rows: 3, columns: [], width: 40, dtypes: null });
  assert.deepEqual(readTable('', 'a b\n[5 rows x 7 columns]'), { rows: 5, columns: [], width: 7, dtypes: null });
  assert.equal(readTable('<table><tr><td>1</td></tr></table>', 'words'), null);
});

test('named numbers that differ are values, with what they differ by', () => {
  const result = compare(trial(
    side(print('loss: 0.9\nloss: 0.5\naccuracy = 80\nseed: 7\n')), side(print('loss: 0.8\nloss: 0.25\naccuracy = 84\nseed: 7\nnew: 1'))
  ));
  assert.deepEqual(result?.metrics.map(({ name, before, after }) => [name, before, after]), [['loss', 0.5, 0.25], ['accuracy', 80, 84]]);
  assert.deepEqual(result?.metrics.map(differenceOf), ['−0.25 (−50 %)', '+4 (+5.0 %)']);
});

test('an output that is one number is a value without a name', () => {
  const result = compare(trial(side(show({ 'text/plain': '1,234.5' })), side(show({ 'text/plain': 'np.float64(1000)' }))));
  assert.deepEqual(result?.metrics.map(({ name, before, after }) => [name, before, after]), [['', 1234.5, 1000]]);
});

test('pictures stand side by side; what could do something is named instead', () => {
  const old = side(show({ 'image/png': `${PNG}\n`, 'text/plain': '<Figure>' }));
  const now = side(
    show({ 'image/svg+xml': '<svg onload=alert(1)>' }), show({ 'image/png': '"><script>', 'text/plain': 'p' }),
    show({ 'application/vnd.plotly.v1+json': {}, 'text/plain': 'Figure' })
  );
  const result = compare(trial(old, now));
  assert.deepEqual(result?.images, [{ before: `data:image/png;base64,${PNG}`, after: null }]);
  assert.deepEqual(result?.notCompared, ['image/svg+xml', 'image/png', 'application/vnd.plotly.v1+json']);
});

test('without a version before, what came is shown and nothing is compared', () => {
  const result = compare(trial(null, side(print('loss: 1'))));
  assert.deepEqual(result?.metrics, []);
  assert.deepEqual(result?.text?.map(({ sign, text }) => sign + text), ['+loss: 1']);
  assert.equal(compare({ status: 'refused', reason: 'threads', source: null, before: null, after: null }), null);
});

test('outputs of any shape break nothing', () => {
  const odd = side({ output_type: 'stream', text: 3 }, { output_type: 'display_data', data: [] }, {}, { output_type: 'error' });
  assert.ok(compare(trial(odd, odd)));
});
