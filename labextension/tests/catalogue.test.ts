/** The page's catalogue: a language pack's words and its plurals. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { catalogue, pluralForm } from '../src/catalogue.js';
import { speak, t, tn } from '../src/view/i18n.js';

const forms = (rule: string, ns: readonly number[]): number[] => ns.map(pluralForm(rule));

test('the rules of real languages choose their forms', () => {
  assert.deepEqual(forms('(n != 1)', [0, 1, 2]), [1, 0, 1]);
  assert.deepEqual(forms('n > 1', [0, 1, 2]), [0, 0, 1]);
  assert.deepEqual(forms('0', [0, 1, 2]), [0, 0, 0]);
  const polish = '(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2)';
  assert.deepEqual(forms(polish, [1, 2, 5, 12, 22, 25, 112]), [0, 1, 2, 2, 1, 2, 2]);
  const pack = // as the language pack has it
    '(n==1 ? 0 : (n%10>=2 && n%10<=4) && (n%100<12 || n%100>14) ? 1 : n!=1 && (n%10>=0 && n%10<=1) || (n%10>=5 && n%10<=9) || (n%100>=12 && n%100<=14) ? 2 : 3)';
  assert.deepEqual(forms(pack, [1, 2, 5, 12, 22, 101]), [0, 1, 2, 2, 1, 2]);
  const arabic = 'n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5';
  assert.deepEqual(forms(arabic, [0, 1, 2, 7, 11, 100]), [0, 1, 2, 3, 4, 5]);
});

test('a rule that is none counts as English', () => {
  for (const rule of ['', 'alert(1)', 'n ? 1', '(n', 'n n', 'm > 1']) {
    assert.deepEqual(forms(rule, [1, 2]), [0, 1], rule);
  }
});

test('words of a pack, and English where it has none', () => {
  const pack = { '': { plural_forms: 'nplurals=2; plural=(n > 1);' }, Idle: ['Libre'], '{n} day': ['{n} jour', '{n} jours'], New: [''] };
  speak(catalogue(pack));
  assert.equal(t('Idle'), 'Libre');
  assert.equal(t('New'), 'New');
  assert.equal(t('Hello {name}', { name: 'you' }), 'Hello you');
  assert.equal(tn('{n} day', '{n} days', 0), '0 jour');
  assert.equal(tn('{n} day', '{n} days', 2), '2 jours');
  assert.equal(tn('{n} step', '{n} steps', 1), '1 step');
  assert.equal(tn('{n} token', '{n} tokens', 1200, { n: '1.2k' }), '1.2k tokens');
  assert.equal(t('constructor'), 'constructor');
});
