/** Growing markdown as blocks: finished blocks are read once and kept, only the tail is read again. Pure. */

import { Lexer } from 'marked';
import type { Links, Token } from 'marked';
import { options } from './math.js';

/** `key` stays with the block while it grows; `final`: no later text changes it. */
export interface Block {
  readonly key: number;
  readonly token: Token;
  readonly final: boolean;
}

/** A tail without a block's end that is longer than this is shown as it stands until it ends. */
const LONGEST_TAIL = 40_000;
/** The start of something whose kind is not known yet ("-", "1.", "``"): it may belong to the block before. */
const UNDECIDED = /^\s*(?:[-*+]|\d{1,9}[.)]?|[`~]{1,3}|#{1,6}|>|\|)?\s*$/;
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

const raw = (text: string): Token => ({ type: 'raw', raw: text, text });

export class Blocks {
  /** Replaced, never changed, when it grows. */
  list: readonly Block[] = [];
  private text = '';
  /** How much of the text the final blocks hold. */
  private end = 0;
  private finals = 0;
  private done = false;
  private links: Links = {};

  update(text: string, done: boolean): void {
    if (text === this.text && done === this.done) {
      return;
    }
    const grown = done ? text.startsWith(this.text) : text.length >= this.text.length;
    if (!grown || this.done || (done && this.finals > 0 && DEFINITION.test(text))) {
      // A definition at the end names links of blocks already kept, so all is read again, once.
      this.end = 0;
      this.finals = 0;
      this.list = [];
      this.links = {};
    }
    this.text = text;
    this.done = done;
    const rest = text.slice(this.end);
    const tokens = this.lex(rest, done);
    let last = tokens.length - 1;
    while (last > 0 && tokens[last]?.type === 'space') {
      last -= 1;
    }
    const keep = done
      ? tokens.length
      : UNDECIDED.test(tokens[last]?.raw ?? '') ? 0 : last;
    const blocks = this.list.slice(0, this.finals);
    let at = this.end;
    tokens.forEach((token, index) => {
      const final = index < keep;
      if (token.type !== 'space' && token.type !== 'def') {
        blocks.push({ key: at, token, final });
        this.finals += final ? 1 : 0;
      }
      at += token.raw.length;
      if (final) {
        this.end = at;
      }
    });
    this.list = blocks;
  }

  private lex(text: string, done: boolean): Token[] {
    if (text.length > LONGEST_TAIL && !done) {
      return [raw(text)];
    }
    const lexer = new Lexer(options(text, !done));
    Object.assign(lexer.tokens.links, this.links);
    try {
      const tokens = lexer.lex(text);
      this.links = { ...lexer.tokens.links };
      // What the lexer normalises (tabs, CRLF) would shift every later offset.
      const read = tokens.reduce((sum, token) => sum + token.raw.length, 0);
      return read === text.length || done ? tokens : [raw(text)];
    } catch {
      // Nesting deeper than the lexer's stack: the words matter more than their form.
      return [raw(text)];
    }
  }
}
