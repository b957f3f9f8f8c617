/** Plugin: what a cell's and an output's context menu can ask of the agent; the same in the command palette. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { cellChip, outputChip, revealChat, sendNow } from './asking';
import { CommandIDs } from './commands';
import { addCellCommand } from './meantCell';
import type { CellCommand, MeantCell } from './meantCell';
import { IChats, INotebookChats, ISplits } from './tokens';

const OUTPUT = 'jp-OutputArea-child';

export const cellMenus: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:cell-menus',
  description: 'Asks the agent about a cell or an output.',
  autoStart: true,
  requires: [IChats, INotebookChats, INotebookTracker],
  optional: [ISplits, ICommandPalette, ITranslator],
  activate(
    app: JupyterFrontEnd,
    chats: IChats,
    sidebar: INotebookChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const reveal = revealChat(sidebar, splits);

    /** The output under the pointer; null for all of the cell's. */
    const pointed = (): number | null => {
      const node = app.contextMenuHitTest(({ classList }) => classList.contains(OUTPUT));
      const siblings = node?.parentElement ? [...node.parentElement.children] : [];
      const index = node ? siblings.filter(({ classList }) => classList.contains(OUTPUT)).indexOf(node) : -1;
      return index === -1 ? null : index;
    };

    const listed = palette && { items: palette, category: trans.__('Agent') };
    const add = (command: CellCommand) => {
      addCellCommand(app, notebooks, listed, command);
    };
    const written = ({ cell: { model } }: MeantCell) => model.sharedModel.getSource().trim() !== '';

    add({
      id: CommandIDs.askCell,
      label: trans.__('Ask Agent About This Cell'),
      caption: trans.__('Put this cell beside your next message to the agent'),
      execute: ({ notebook, cell }) => {
        const chat = reveal(notebook);
        chat.addContext(cellChip(trans, notebook, cell.model));
        chat.focus();
      },
      isEnabled: written
    });
    add({
      id: CommandIDs.explainCell,
      label: trans.__('Explain With Agent'),
      caption: trans.__('Ask the agent what this cell does'),
      execute: ({ notebook, cell }) => {
        const chip = cellChip(trans, notebook, cell.model);
        void sendNow(chats.client, reveal(notebook), trans.__('Explain this cell.'), [chip], chip.source);
      },
      isEnabled: written
    });
    add({
      id: CommandIDs.sendOutput,
      label: trans.__('Send Output to Agent'),
      caption: trans.__('Put this output beside your next message to the agent'),
      execute: ({ notebook, cell }, atPointer) => {
        const chip = outputChip(trans, notebook, cell.model, atPointer ? pointed() : null);
        if (chip) {
          const chat = reveal(notebook);
          chat.addContext(chip);
          chat.focus();
        }
      },
      isEnabled: ({ cell: { model } }) =>
        model.type === 'code' && (model.sharedModel as { outputs?: unknown[] }).outputs?.length !== 0
    });
    listed?.items.addItem({ command: CommandIDs.fixError, category: listed.category });
  }
};
