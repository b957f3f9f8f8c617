/** Plugin: a field at a cell, by Accel+K, that asks the agent for another version of this cell. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import type { Cell } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { PanelLayout } from '@lumino/widgets';

import { revealChat } from './asking';
import { CommandIDs } from './commands';
import type { InlinePrompt } from './inlineField';
import { addCellCommand } from './meantCell';
import { IChats, INotebookChats, ISplits } from './tokens';
import { withNotebook } from './withNotebook';

export const inlinePrompt: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:inline-prompt',
  description: 'Asks the agent to change a cell, at the cell.',
  autoStart: true,
  requires: [IChats, INotebookChats, INotebookTracker],
  optional: [ISplits, ICommandPalette, ITranslator],
  activate(
    app: JupyterFrontEnd,
    { client }: IChats,
    sidebar: INotebookChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const reveal = revealChat(sidebar, splits);
    const open = new WeakMap<Cell, InlinePrompt>();
    // Before it is asked for: what is typed at once after the shortcut must not land in the cell.
    let Prompt: typeof InlinePrompt | undefined;
    withNotebook(notebooks, async () => {
      Prompt = (await import('./inlineField')).InlinePrompt;
    });
    addCellCommand(app, notebooks, palette && { items: palette, category: trans.__('Agent') }, {
      id: CommandIDs.changeCell,
      label: trans.__('Change This Cell With Agent…'),
      caption: trans.__('Say at the cell what should be different'),
      execute: ({ cell, notebook }) => {
        const { layout } = cell;
        const known = open.get(cell);
        if (known && !known.isDisposed) {
          known.focus();
          return;
        }
        if (!Prompt || !(layout instanceof PanelLayout)) {
          return;
        }
        const prompt = new Prompt({ client, notebook, cell, reveal, trans });
        open.set(cell, prompt);
        // Between what is asked about and what came of it; it takes room of its own and covers nothing.
        const input = layout.widgets.findIndex(({ node }) => node.classList.contains('jp-Cell-inputWrapper'));
        layout.insertWidget(input + 1, prompt);
        prompt.focus();
      }
    });
  }
};
