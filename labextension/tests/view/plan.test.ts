/** A plan in its parts, its comments as the agent reads them, and the lasting rules as the server tells them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { planBlocks, planMessage, quoteOf } from '../../src/view/planComments';
import { readRules } from '../../src/view/ruleList';

const PLAN = '# One region column\n\nThe merge doubles `region`.\n\n3. Join on both\n4. Run again\n   - and look\n\n```python\nx = 1\n```\n';

test('each paragraph, each item of a list and each piece of code can be commented on', () => {
  const blocks = planBlocks(PLAN);
  assert.deepEqual(blocks.map(block => block.text), [
    '# One region column', 'The merge doubles `region`.', '3. Join on both', '4. Run again\n   - and look',
    '```python\nx = 1\n```'
  ]);
  assert.deepEqual(blocks.slice(2, 4).map(block => (block.token as { start?: number }).start), [3, 4]);
});

test('comments come in the order of the plan, each below what it is about', () => {
  const message = planMessage(
    [
      { block: 3, quote: '4. Run again\n   - and look', text: 'No, keep them. ' },
      { block: 0, quote: 'One region', text: 'Two' }
    ],
    'Else fine.'
  );
  assert.equal(message, '> One region\n\nTwo\n\n> 4. Run again\n>    - and look\n\nNo, keep them.\n\nElse fine.');
  assert.equal(planMessage([], ' '), '');
  assert.ok(quoteOf('word '.repeat(500)).length < 420);
});

test('rules with fields left out are read, other answers are not', () => {
  const given = { id: 'a', rule: 'Bash(ls *)', behavior: 'allow' };
  const read = { ...given, scope: '', where: '', file: null, revocable: false };
  assert.deepEqual(readRules({ rules: [given] }), [read]);
  assert.deepEqual(readRules({ rules: [{ ...given, words: 'in this folder', revocable: true, file: '/a' }] }), [
    { ...read, where: 'in this folder', revocable: true, file: '/a' }
  ]);
  for (const wrong of [null, {}, { rules: 1 }, { rules: [{ ...given, behavior: 'maybe' }] }, { rules: [null] }]) {
    assert.equal(readRules(wrong), undefined);
  }
});
