/** LaTeX in markdown: where a formula begins and ends, so that prices and shell variables stay words. Pure. */

import { Marked } from 'marked';
import type { MarkedOptions, TokenizerAndRendererExtension, Tokens } from 'marked';

/** `raw` as it stands in the text; `closed` false: it is still being written. */
export interface MathToken extends Tokens.Generic {
  readonly type: 'math';
  readonly tex: string;
  readonly display: boolean;
  readonly closed: boolean;
}

/** A formula holds no blank line, as in TeX: a stray sign takes no more with it than its paragraph. */
const LINE = String.raw`(?:\\[^]|(?!\n[ \t]*\n)[^\\])`;
const DISPLAY = [
  new RegExp(String.raw`^ {0,3}\$\$((?:\\[^]|(?!\n[ \t]*\n|\$\$)[^\\])+?)(\$\$)[ \t]*(?:\n|$)`),
  new RegExp(String.raw`^ {0,3}\\\[(${LINE}*?)(\\\])[ \t]*(?:\n|$)`)
];
/** The same without their end, up to the end of what has come. */
const OPEN = new RegExp(String.raw`^ {0,3}(?:\$\$|\\\[)(${LINE}*)$`);
/**
 * "$5 and $10" are prices, "$HOME:$PATH" are names: the first sign has a word close behind it, the
 * last one close before it and none after it.
 */
const INLINE =
  /^(?:\$\$((?:\\[^\n]|[^\\$\n])+)\$\$|\$(?![\s$])((?:\\[^\n]|[^\\$\n])*?(?:\\[^\n]|[^\\$\s]))\$(?![\w$])|\\\(((?:\\[^)\n]|[^\\\n])+)\\\)|\\\[((?:\\[^\]\n]|[^\\\n])+)\\\])/;
/** "$10 at US$": a number with words after it is a price. */
const PRICE = /^\d[\d.,]*[a-z]?\s+[a-z]{2}/i;
const BEFORE = /\$|\\[([]/g;

const token = (raw: string, tex: string, display: boolean, closed = true): MathToken => ({
  type: 'math', raw, tex: tex.trim(), text: raw, display, closed
});

/** Shown as it stands where tokens are made into HTML, which the sanitiser then sees. */
const renderer = (found: Tokens.Generic): string => found.raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function block(open: boolean): TokenizerAndRendererExtension {
  return {
    name: 'math',
    level: 'block',
    start: text => /(?:^|\n) {0,3}(?:\$\$|\\\[)/.exec(text)?.index,
    tokenizer(text) {
      for (const shape of DISPLAY) {
        const found = shape.exec(text);
        if (found?.[1]?.trim()) {
          return token(found[0], found[1], true);
        }
      }
      const growing = open ? OPEN.exec(text) : null;
      return growing ? token(growing[0], growing[1] ?? '', true, false) : undefined;
    },
    renderer
  };
}

const inline: TokenizerAndRendererExtension = {
  name: 'inlineMath',
  level: 'inline',
  start(text) {
    for (const { index } of text.matchAll(BEFORE)) {
      // A sign within a word is none of a formula: US$, a$b.
      if (text[index] !== '$' || !/[\w$\\]/.test(text[index - 1] ?? ' ')) {
        return index;
      }
    }
    return undefined;
  },
  tokenizer(text) {
    const found = INLINE.exec(text);
    const tex = found?.[1] ?? found?.[2] ?? found?.[3] ?? found?.[4];
    return found && tex?.trim() && !(found[2] !== undefined && PRICE.test(tex))
      ? token(found[0], tex, found[1] !== undefined || found[4] !== undefined)
      : undefined;
  },
  renderer
};

const reading = (open: boolean): MarkedOptions =>
  new Marked({ gfm: true, extensions: [block(open), inline] }).defaults;

const GROWING = reading(true);
const WHOLE = reading(false);
const PLAIN: MarkedOptions = { gfm: true };

/** How to read some markdown; text without a sign of a formula is not searched for one. */
export const options = (text: string, growing: boolean): MarkedOptions =>
  // A copy: a lexer keeps its state in what it is given.
  ({ ...(!/\$|\\[([]/.test(text) ? PLAIN : growing ? GROWING : WHOLE) });
