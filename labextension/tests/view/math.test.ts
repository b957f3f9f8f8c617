/** What of an answer is a formula, and what only looks like one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Token, Tokens } from 'marked';
import { Blocks } from '../../src/view/blocks';
import type { MathToken } from '../../src/view/math';

const isMath = (token: Token): token is MathToken => token.type === 'math';
function inside(token: Token): Token[] {
  const { tokens = [], items = [], header = [], rows = [] } = token as Tokens.Generic & Partial<Tokens.Table>;
  const cells = [header, ...rows].flat().flatMap(cell => cell.tokens);
  return [token, ...[...tokens, ...(items as Token[]), ...cells].flatMap(inside)];
}

function formulas(text: string, done = true): string[] {
  const blocks = new Blocks();
  blocks.update(text, done);
  return blocks.list
    .flatMap(block => inside(block.token))
    .filter(isMath)
    .map(({ tex, display, closed }) => `${closed ? '' : 'open '}${display ? 'display ' : ''}${tex}`);
}

test('all four ways of writing a formula are read', () => {
  assert.deepEqual(formulas('an $x^2$ here'), ['x^2']);
  assert.deepEqual(formulas('an \\(x^2\\) here'), ['x^2']);
  assert.deepEqual(formulas('$$\nE = mc^2\n$$'), ['display E = mc^2']);
  assert.deepEqual(formulas('\\[\n\\frac{a}{b}\n\\]'), ['display \\frac{a}{b}']);
  assert.deepEqual(formulas('so $$a$$ within words'), ['display a']);
  assert.deepEqual(formulas('words\n$$\na\n$$\nwords'), ['display a']);
  assert.deepEqual(formulas('- in a list $a_1$\n\n| a |\n|---|\n| $b_1$ |'), ['a_1', 'b_1']);
});

test('signs of markdown in a formula are its own', () => {
  assert.deepEqual(formulas('$a_1 * b_2 * c_3$'), ['a_1 * b_2 * c_3']);
  assert.deepEqual(formulas('$$\n\\begin{aligned}\na &= b \\\\\n- c &= d\n\\end{aligned}\n$$'), [
    'display \\begin{aligned}\na &= b \\\\\n- c &= d\n\\end{aligned}'
  ]);
  assert.deepEqual(formulas('$\\text{costs \\$5}$'), ['\\text{costs \\$5}']);
});

test('prices, names and code stay words', () => {
  for (const text of [
    'from $5 to $10', '$5-$10', 'US$5 and US$6', 'from $10 at US$ 3', '$2.5k more than the $3k', 'it costs $ 5 or 6 $', 'HOME=$HOME and PATH=$PATH',
    '`$x$`', '```\n$$a$$\n```', '\\$x\\$', '$$', '$$$$', 'a $', 'f\\(', '[x](\\[)', '$a\n\nb$', '$$\na\n\nb\n$$'
  ]) {
    assert.deepEqual(formulas(text), [], text);
  }
});

test('a formula that is being written waits, and no words are lost when it never ends', () => {
  assert.deepEqual(formulas('$$\n\\begin{aligned}\na\n- b', false), ['open display \\begin{aligned}\na\n- b']);
  assert.deepEqual(formulas('$$\na\n- b'), []);
  const blocks = new Blocks();
  const text = 'one\n\n$$\na\n+ b\n$$\n\ntwo $x$ three';
  for (let end = 1; end <= text.length; end += 1) {
    blocks.update(text.slice(0, end), end === text.length);
    assert.equal(blocks.list.map(block => block.token.raw).join('').replace(/\s/g, ''), text.slice(0, end).replace(/\s/g, ''));
  }
  assert.deepEqual(blocks.list.flatMap(block => inside(block.token)).filter(isMath).map(each => each.tex), ['a\n+ b', 'x']);
});

test('a long text of open signs is read in no time', () => {
  const began = performance.now();
  formulas('$a '.repeat(10_000));
  formulas('\\('.repeat(10_000));
  formulas(`$$${'a$ '.repeat(10_000)}`);
  assert.ok(performance.now() - began < 3000);
});
