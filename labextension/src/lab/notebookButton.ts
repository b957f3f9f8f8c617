/** Plugin: the command behind the button "Agent" of a notebook's toolbar, which `schema/plugin.json` places. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs, PLUGIN_ID } from './commands';
import { agentIcon } from './icon';
import { INotebookChats, ISplits } from './tokens';

export const notebookButton: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:notebook-button',
  description: 'Opens the agent of the current notebook.',
  autoStart: true,
  requires: [INotebookChats, INotebookTracker],
  optional: [ISplits, ISettingRegistry, ITranslator],
  activate(
    app: JupyterFrontEnd,
    sidebar: INotebookChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const loaded = settings?.load(PLUGIN_ID).catch(() => null);
    app.commands.addCommand(CommandIDs.openNotebook, {
      label: trans.__('Agent'),
      caption: trans.__('Ask the agent about this notebook'),
      icon: agentIcon,
      isEnabled: () => notebooks.currentWidget !== null,
      execute: async () => {
        const notebook = notebooks.currentWidget;
        if (!notebook) {
          return;
        }
        const placement = (await loaded)?.get('placement').composite;
        const kernel = notebook.sessionContext.session?.kernel?.id;
        if (placement !== 'split' || !splits) {
          sidebar.reveal(notebook).focus();
        } else if (kernel === undefined || !splits.revealKernel(kernel)) {
          await app.commands.execute(CommandIDs.open, {
            notebook: notebook.context.localPath,
            ...(kernel === undefined ? {} : { kernel })
          });
        }
      },
      describedBy: { args: { type: 'object', properties: {} } }
    });
  }
};
