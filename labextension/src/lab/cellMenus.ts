/** Plugin: what a cell's and an output's context menu can ask of the agent; the same in the command palette. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import type { ICellModel } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { cellChip, outputChip, revealChat, sendNow } from './asking';
import { CommandIDs } from './commands';
import { activate, MEANT, meantCell } from './meantCell';
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
    const { commands } = app;

    /** The output under the pointer; null for all of the cell's. */
    const pointed = (): number | null => {
      const node = app.contextMenuHitTest(({ classList }) => classList.contains(OUTPUT));
      const siblings = node?.parentElement ? [...node.parentElement.children] : [];
      const index = node ? siblings.filter(({ classList }) => classList.contains(OUTPUT)).indexOf(node) : -1;
      return index === -1 ? null : index;
    };

    const add = (
      id: string,
      label: string,
      caption: string,
      execute: (notebook: NotebookPanel, model: ICellModel, atPointer: boolean) => void,
      isEnabled: (model: ICellModel) => boolean
    ) => {
      commands.addCommand(id, {
        label,
        caption,
        isEnabled: args => {
          const found = meantCell(app, notebooks, args);
          return found !== null && isEnabled(found.cell.model);
        },
        execute: args => {
          const found = meantCell(app, notebooks, args);
          if (found) {
            activate(found);
            execute(found.notebook, found.cell.model, args['pointer'] === true);
          }
        },
        describedBy: MEANT
      });
      palette?.addItem({ command: id, category: trans.__('Agent') });
    };

    const written = (model: ICellModel) => model.sharedModel.getSource().trim() !== '';

    add(
      CommandIDs.askCell,
      trans.__('Ask Agent About This Cell'),
      trans.__('Put this cell beside your next message to the agent'),
      (notebook, model) => {
        const chat = reveal(notebook);
        chat.addContext(cellChip(trans, notebook, model));
        chat.focus();
      },
      written
    );
    add(
      CommandIDs.explainCell,
      trans.__('Explain With Agent'),
      trans.__('Ask the agent what this cell does'),
      (notebook, model) => {
        const chip = cellChip(trans, notebook, model);
        void sendNow(chats.client, reveal(notebook), trans.__('Explain this cell.'), [chip], chip.source);
      },
      written
    );
    add(
      CommandIDs.sendOutput,
      trans.__('Send Output to Agent'),
      trans.__('Put this output beside your next message to the agent'),
      (notebook, model, atPointer) => {
        const chip = outputChip(trans, notebook, model, atPointer ? pointed() : null);
        if (chip) {
          const chat = reveal(notebook);
          chat.addContext(chip);
          chat.focus();
        }
      },
      model => model.type === 'code' && (model.sharedModel as { outputs?: unknown[] }).outputs?.length !== 0
    );
    palette?.addItem({ command: CommandIDs.fixError, category: trans.__('Agent') });
  }
};
