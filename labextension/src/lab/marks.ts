/** Reads the mark that an agent leaves on a cell, `metadata.agent_lab`; `notebook/provenance.py` writes it. Pure. */

export interface Author {
  readonly session: string;
  readonly turn: string | null;
  readonly agent: string;
  readonly model: string | null;
  /** ISO-8601. */
  readonly at: string;
}

export interface Mark {
  /** Who wrote the source; absent where an agent ran the cell only. */
  readonly wrote: (Author & { readonly edited: boolean }) | null;
  /** Who made the outputs that are there. */
  readonly ran: Author | null;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value;
});

/** CRC-32 of the text in UTF-8, as eight hexadecimal digits. The browser's own hashes come late, and not over http. */
export function sourceHash(source: string): string {
  let value = 0xffffffff;
  for (const byte of new TextEncoder().encode(source)) {
    value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  }
  return ((value ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}

function readAuthor(value: unknown): Author | null {
  if (typeof value !== 'object' || value === null) {
    return null;
  }
  const { session, turn, agent, model, at } = value as Record<string, unknown>;
  if (typeof session !== 'string' || typeof agent !== 'string') {
    return null;
  }
  return {
    session,
    turn: typeof turn === 'string' ? turn : null,
    agent,
    model: typeof model === 'string' ? model : null,
    at: typeof at === 'string' ? at : ''
  };
}

/** Null where no agent had a hand in the cell. What a person may have broken by hand says nothing. */
export function readMark(metadata: unknown, source: string, executionCount: number | null): Mark | null {
  const author = readAuthor(metadata);
  const { hash, outputs } = (metadata ?? {}) as { hash?: unknown; outputs?: { execution_count?: unknown } };
  const runner = readAuthor(outputs);
  const ran = runner && outputs?.execution_count === executionCount ? runner : null;
  const wrote = author && { ...author, edited: typeof hash === 'string' && hash !== sourceHash(source) };
  return wrote || ran ? { wrote, ran } : null;
}

export type Translate = (text: string, ...values: string[]) => string;

function when(at: string, language: string | undefined): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime())
    ? ''
    : time.toLocaleString(language, { day: 'numeric', month: 'short', year: 'numeric', hour: 'numeric', minute: '2-digit' });
}

/** The model by the part of its name that people know: "claude-opus-4-1-20250805" is "opus". */
function modelName(model: string): string {
  return /(?:^|-)(opus|sonnet|haiku)(?:-|$)/.exec(model)?.[1] ?? model;
}

/** "Written by claude (opus) on 21 Nov 2026, 14:02, edited since". `title` is the session's. */
export function describeMark(mark: Mark, title: string | null, __: Translate, language?: string): string {
  const by = ({ agent, model }: Author) => (model === null ? agent : `${agent} (${modelName(model)})`);
  const on = ({ at }: Author) => {
    const time = when(at, language);
    return time === '' ? '' : ` ${__('on %1', time)}`;
  };
  const { wrote, ran } = mark;
  const parts = [
    ...(wrote ? [__('Written by %1', by(wrote)) + on(wrote) + (wrote.edited ? `, ${__('edited since')}` : '')] : []),
    ...(ran ? [(wrote ? __('run by %1', by(ran)) : __('Run by %1', by(ran))) + on(ran)] : [])
  ];
  return parts.join('; ') + (title === null ? '' : `; ${__('in “%1”', title)}`);
}
