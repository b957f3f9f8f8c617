/** The part of a text that has to be replaced to make another of it. Pure. */

export interface Span {
  readonly start: number;
  /** The end in the old text. */
  readonly end: number;
  readonly text: string;
}

const splits = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff && at > 0;
};

/**
 * Replacing no more than this leaves a person's cursor where it is.
 *
 * Neither end lies inside a surrogate pair: the shared text would replace the halves by U+FFFD.
 */
export function changeSpan(before: string, after: string): Span {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) {
    start++;
  }
  if (splits(before, start) || splits(after, start)) {
    start--;
  }
  let same = 0;
  while (same < most - start && before[before.length - 1 - same] === after[after.length - 1 - same]) {
    same++;
  }
  if (same > 0 && (splits(before, before.length - same) || splits(after, after.length - same))) {
    same--;
  }
  return { start, end: before.length - same, text: after.slice(start, after.length - same) };
}
