/** A gettext catalogue as language packs for JupyterLab carry it, for the page without JupyterLab. Pure. */

import type { Translator } from './view/i18n.js';

/** Jed's shape: a text to its translations, "" to what the catalogue says of itself. */
export type Words = Readonly<Record<string, unknown>>;

export function catalogue(words: Words): Translator {
  const about = words[''] as { plural_forms?: unknown } | undefined;
  const rule = /plural=(.*?);?$/.exec(String(about?.plural_forms ?? ''))?.[1] ?? 'n != 1';
  const form = pluralForm(rule);
  const formsOf = (text: string): readonly unknown[] => {
    const found = words[text];
    return Array.isArray(found) ? found : [];
  };
  return {
    translate: text => String(formsOf(text)[0] || text),
    translatePlural: (one, more, n) => String(formsOf(one)[form(n)] || (n === 1 ? one : more))
  };
}

const TOKENS = /\d+|n|&&|\|\||[=!<>]=|[<>?:()%]/g;

type Term = (n: number) => number;
type Operation = (left: number, right: number) => number;

/** By how tightly they bind, the loosest first. */
const OPERATIONS: readonly Readonly<Record<string, Operation>>[] = [
  { '||': (left, right) => Number(left || right) },
  { '&&': (left, right) => Number(left && right) },
  { '==': (left, right) => Number(left === right), '!=': (left, right) => Number(left !== right) },
  {
    '<': (left, right) => Number(left < right), '>': (left, right) => Number(left > right),
    '<=': (left, right) => Number(left <= right), '>=': (left, right) => Number(left >= right)
  },
  { '%': (left, right) => left % right }
];

/**
 * gettext's rule, an expression of C over `n`, as a function. Read and not compiled: the page's policy
 * lets no text become code. What cannot be read counts as English.
 */
export function pluralForm(rule: string): Term {
  const tokens = rule.match(TOKENS) ?? [];
  let at = 0;
  const take = (token: string): boolean => tokens[at] === token && (at += 1) > 0;
  const choice = (): Term => {
    const test = binary(0);
    if (!take('?')) {
      return test;
    }
    const yes = choice();
    if (!take(':')) {
      throw new SyntaxError(rule);
    }
    const no = choice();
    return n => (test(n) ? yes(n) : no(n));
  };
  const binary = (level: number): Term => {
    const operations = OPERATIONS[level];
    if (!operations) {
      return single();
    }
    let left = binary(level + 1);
    for (;;) {
      const operation = operations[tokens[at] ?? ''];
      if (!operation) {
        return left;
      }
      at += 1;
      const [first, second] = [left, binary(level + 1)];
      left = n => operation(first(n), second(n));
    }
  };
  const single = (): Term => {
    if (take('(')) {
      const inner = choice();
      if (!take(')')) {
        throw new SyntaxError(rule);
      }
      return inner;
    }
    const token = tokens[at] ?? '';
    at += 1;
    if (token !== 'n' && !/^\d+$/.test(token)) {
      throw new SyntaxError(rule);
    }
    return token === 'n' ? n => n : () => Number(token);
  };
  try {
    const found = choice();
    if (at === tokens.length && rule.replace(TOKENS, '').trim() === '') {
      return found;
    }
  } catch {
    // As below.
  }
  return n => Number(n !== 1);
}
