/** Which names a piece of code uses. Pure. */

// A name that is no attribute and no part of another.
const NAME = /(?<![\p{ID_Continue}.])[\p{ID_Start}_]\p{ID_Continue}*/gu;

/** Also what stands in strings and comments: f-strings use names, and what is not in memory is left out later. */
export function namesIn(source: string): Set<string> {
  return new Set(source.match(NAME));
}
