/** Whether a person sees an element: it is on the screen of a page that is in sight and has the focus. */

/** Calls with each change from not seen. Returns what ends it, which counts as not seen. */
export function watchLook(element: Element, tell: (visible: boolean) => void): () => void {
  const gone = new AbortController();
  const { signal } = gone;
  let onScreen = false;
  let last = false;
  const say = (): void => {
    const visible = onScreen && !document.hidden && document.hasFocus() && !signal.aborted;
    if (visible !== last) {
      last = visible;
      tell(visible);
    }
  };
  const watch = new IntersectionObserver(entries => {
    onScreen = entries.at(-1)?.isIntersecting ?? false;
    say();
  });
  watch.observe(element);
  window.addEventListener('focus', say, { signal });
  // A frame of the page, such as a help tab, takes the focus from the window and not from the page.
  window.addEventListener('blur', () => setTimeout(say, 0), { signal });
  document.addEventListener('visibilitychange', say, { signal });
  return () => {
    gone.abort();
    watch.disconnect();
    if (last) {
      say();
    }
  };
}
