/** What only a page with a notebook needs is fetched with its first one: a page without pays nothing for it. */
import type { INotebookTracker } from '@jupyterlab/notebook';

export function withNotebook(notebooks: INotebookTracker, begin: () => Promise<void>): void {
  const come = (): void => {
    notebooks.widgetAdded.disconnect(come);
    begin().catch(() => {
      notebooks.widgetAdded.connect(come); // the server is gone, which all else says; the next notebook tries again
    });
  };
  if (notebooks.size > 0) {
    come();
  } else {
    notebooks.widgetAdded.connect(come);
  }
}
