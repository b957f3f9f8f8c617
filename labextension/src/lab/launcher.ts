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
  requires: [ISplits],
  optional: [ILauncher, ICommandPalette, ITranslator],
  activate(
    _app: JupyterFrontEnd,
    _splits: ISplits,
    cards: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    cards?.add({ command: CommandIDs.open, args: { isLauncher: true }, category: trans.__('Other'), rank: 1 });
    const category = trans.__('Agent');
    palette?.addItem({ command: CommandIDs.open, category, rank: 0 });
    palette?.addItem({ command: CommandIDs.openNotebook, category, rank: 1 });
  }
};
