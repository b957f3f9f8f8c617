/** Plugin: our commands in the launcher and in the command palette. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from './commands';
import { ISplits } from './tokens';

export const launcher: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:launcher',
  description: 'Opens agent sessions from the launcher and the command palette.',
  autoStart: true,
  optional: [ISplits, ILauncher, ICommandPalette, ITranslator],
  activate(
    _app: JupyterFrontEnd,
    splits: ISplits | null,
    cards: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    if (splits) {
      // JupyterLab's own heading, by its own word for it.
      const category = (translator ?? nullTranslator).load('jupyterlab').gettext('Other');
      cards?.add({ command: CommandIDs.open, args: { isLauncher: true }, category, rank: 1 });
    }
    const category = trans.__('Agent');
    if (splits) {
      palette?.addItem({ command: CommandIDs.open, category, rank: 0 });
    }
    palette?.addItem({ command: CommandIDs.openNotebook, category, rank: 1 });
    palette?.addItem({ command: CommandIDs.showSessions, category, rank: 2 });
    palette?.addItem({ command: CommandIDs.toggleAlerts, category, rank: 3 });
  }
};
