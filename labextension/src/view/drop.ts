/** Files dropped anywhere on the panel are for its composer; the browser would else leave the page for them. */

import { useEffect, useState } from 'preact/hooks';

/** True while files hover over the panel that `root` is a part of. */
export function useDrop(
  root: { readonly current: HTMLElement | null }, refuses: boolean, dropped: (files: readonly File[]) => void
): boolean {
  const [over, set] = useState(false);
  useEffect(() => {
    const panel = root.current?.closest<HTMLElement>('.al');
    if (!panel) {
      return undefined;
    }
    const gone = new AbortController();
    const { signal } = gone;
    let inside = 0;
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
    panel.addEventListener('dragenter', event => {
      if (hasFiles(event)) {
        inside += 1;
        set(!refuses);
      }
    }, { signal });
    panel.addEventListener('dragleave', event => {
      if (hasFiles(event)) {
        inside = Math.max(0, inside - 1);
        set(inside > 0 && !refuses);
      }
    }, { signal });
    panel.addEventListener('dragover', event => {
      if (hasFiles(event)) {
        event.preventDefault();
      }
    }, { signal });
    panel.addEventListener('drop', event => {
      inside = 0;
      set(false);
      if (hasFiles(event)) {
        event.preventDefault();
        event.stopPropagation();
        if (!refuses) {
          dropped([...(event.dataTransfer?.files ?? [])]);
        }
      }
    }, { signal });
    return () => gone.abort();
  }, [refuses]);
  return over;
}
