/** Plugin: the connection over which agents read and change the notebooks that are open in this page. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';

import { IChats } from './tokens';
import { withNotebook } from './withNotebook';

export const bridge: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:bridge',
  description: 'Lets agents read and change the notebooks that are open here, with undo.',
  autoStart: true,
  requires: [IChats, INotebookTracker],
  activate(_app: JupyterFrontEnd, { client }: IChats, notebooks: INotebookTracker) {
    withNotebook(notebooks, async () => {
      const { Bridge } = await import('./tabBridge');
      new Bridge(() => client.socketUrl(`${client.wsApi}/notebooks`), notebooks);
    });
  }
};
