/** Where the focus goes when what had it is taken off the page. */

/**
 * A button that vanishes with its press, or with what another tab did, leaves the focus to the page's
 * body; there a key is a command to the notebook. So it goes to `home` instead. Returns what ends it.
 */
export function keepFocus(root: HTMLElement, home: () => void): () => void {
  const gone = new AbortController();
  const { signal } = gone;
  let last: Element | null = null;
  root.addEventListener('focusin', event => {
    last = event.target as Element;
  }, { signal });
  root.addEventListener('focusout', event => {
    // Some browsers tell of the loss while the element is being removed: only later is it known why.
    const left = event.target;
    queueMicrotask(() => {
      if (last === left && last?.isConnected) {
        last = null;
      }
    });
  }, { signal });
  const watch = new MutationObserver(() => {
    if (last && !last.isConnected) {
      last = null;
      const { activeElement, body } = root.ownerDocument;
      if (root.isConnected && (activeElement === null || activeElement === body)) {
        home();
      }
    }
  });
  watch.observe(root, { childList: true, subtree: true });
  return () => {
    gone.abort();
    watch.disconnect();
  };
}
