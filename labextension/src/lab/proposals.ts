/** Plugin: an agent's proposed changes at the cells that they are about. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from './commands';
import type { Shown } from './shownProposals';
import { IChats } from './tokens';
import { withNotebook } from './withNotebook';

export const proposals: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:proposals',
  description: 'Shows an agent’s proposed changes in the cells that they are about.',
  autoStart: true,
  requires: [IChats, INotebookTracker],
  optional: [ICommandPalette, ITranslator],
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    let shown: Shown | undefined;
    withNotebook(notebooks, async () => {
      const parts = await import('./shownProposals');
      shown = new parts.Shown(chats, notebooks, trans);
    });
    app.commands.addCommand(CommandIDs.nextProposal, {
      label: trans.__('Go to the Next Proposed Change'),
      caption: trans.__('Of those that an agent proposes in this notebook'),
      isEnabled: () => notebooks.currentWidget !== null && shown?.waits(notebooks.currentWidget) === true,
      execute: async () => {
        if (notebooks.currentWidget) {
          await shown?.next(notebooks.currentWidget);
        }
      },
      describedBy: { args: { type: 'object', properties: {} } }
    });
    palette?.addItem({ command: CommandIDs.nextProposal, category: trans.__('Agent') });
  }
};
