/** A plan as the blocks that can be commented on, and the comments as what is told to the agent. Pure. */

import { Lexer } from 'marked';
import type { Token, Tokens } from 'marked';
import { options } from './math.js';

/** One block of a plan: a paragraph, a heading, or one item of a list. */
export interface PlanBlock {
  readonly token: Token;
  /** Its words as they stand in the plan. */
  readonly text: string;
}

export function planBlocks(text: string): readonly PlanBlock[] {
  let tokens: readonly Token[];
  try {
    tokens = new Lexer(options(text, false)).lex(text);
  } catch {
    // Nested deeper than can be read: it is shown, and commented on, as a whole.
    tokens = [{ type: 'raw', raw: text, text }];
  }
  return tokens.flatMap(token => {
    if (token.type === 'space' || token.type === 'def') {
      return [];
    }
    if (token.type !== 'list') {
      return [{ token, text: token.raw.trim() }];
    }
    const list = token as Tokens.List;
    const first = list.start === '' ? 1 : list.start;
    return list.items.map((item, index): PlanBlock => ({
      token: { ...list, raw: item.raw, items: [item], start: list.ordered ? first + index : '' },
      text: item.raw.trim()
    }));
  });
}

export interface PlanComment {
  /** The block's place in the plan. */
  readonly block: number;
  /** What of it the comment is about, word for word. */
  readonly quote: string;
  readonly text: string;
}

/** Words of a block that are enough to know it by. */
const LONGEST_QUOTE = 400;

export const quoteOf = (text: string): string =>
  text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE).trimEnd()} …` : text;

/** Each comment below what it is about, in the plan's order; `note` is about the whole of it. */
export function planMessage(comments: readonly PlanComment[], note: string): string {
  const parts = [...comments]
    .sort((a, b) => a.block - b.block)
    .map(({ quote, text }) => `${quote.split('\n').map(line => `> ${line}`).join('\n')}\n\n${text.trim()}`);
  return [...parts, note.trim()].filter(Boolean).join('\n\n');
}
