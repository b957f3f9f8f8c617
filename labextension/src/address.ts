/** Which session an address of a page names. Pure. */

/** `start` is what comes before the id. Null: none. An id that nobody could have made is taken as it stands: it is not found. */
export function sessionAt(pathname: string, start: string): string | null {
  const id = pathname.startsWith(start) ? pathname.slice(start.length).replace(/\/$/, '') : '';
  try {
    return decodeURIComponent(id) || null;
  } catch {
    return id;
  }
}
