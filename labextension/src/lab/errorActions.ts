/** Plugin: the buttons "Ask agent" and "Fix with agent" on a cell's error. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import type { ICellModel } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { Panel, Widget } from '@lumino/widgets';

import type { ContextItem } from '../protocol';

import { cellChip, errorChip, outputsOf, revealChat, sendNow } from './asking';
import { button } from './card';
import { CommandIDs } from './commands';
import { activate, MEANT, meantCell } from './meantCell';
import { plainText } from './text';
import { IChats, INotebookChats, ISplits } from './tokens';

const ERROR = 'application/vnd.jupyter.error';
const STDERR = 'application/vnd.jupyter.stderr';

/** What of an error a chip carries, whoever raised it. */
type ErrorFacts = Pick<ContextItem, 'ename' | 'evalue' | 'traceback'>;

function readFacts(model: IRenderMime.IMimeModel): ErrorFacts {
  const output = model.data[ERROR] as { ename?: unknown; evalue?: unknown; traceback?: unknown } | undefined;
  const lines = Array.isArray(output?.traceback) ? output.traceback.join('\n') : String(model.data[STDERR] ?? '');
  return {
    ename: String(output?.ename ?? ''),
    evalue: plainText(String(output?.evalue ?? '')),
    traceback: plainText(lines)
  };
}

/** JupyterLab's own rendering of an error, with our buttons above it. */
class ErrorRenderer extends Panel implements IRenderMime.IRenderer {
  constructor(
    private readonly _stock: IRenderMime.IRenderer,
    buttons: Readonly<Record<string, (node: HTMLElement, facts: ErrorFacts) => void>>
  ) {
    super();
    this.addClass('al-Error');
    const bar = new Widget();
    bar.addClass('al-Error-bar');
    // Else Enter on a button would go into the cell.
    bar.node.dataset['lmSuppressShortcuts'] = 'true';
    bar.node.addEventListener('keydown', event => {
      event.stopPropagation();
    });
    for (const [label, run] of Object.entries(buttons)) {
      bar.node.append(
        button(label, () => {
          run(this.node, this._facts);
        })
      );
    }
    this.addWidget(bar);
    this.addWidget(_stock);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._facts = readFacts(model);
    await this._stock.renderModel(model);
  }

  private _facts: ErrorFacts = {};
}

export const errorActions: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:errors',
  description: 'Asks the agent about a cell’s error, or has it mended.',
  autoStart: true,
  requires: [IRenderMimeRegistry, IChats, INotebookChats, INotebookTracker],
  optional: [ISplits, ITranslator],
  activate(
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    chats: IChats,
    sidebar: INotebookChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const reveal = revealChat(sidebar, splits);

    /** The cell that holds this element; null in a console. */
    const findCell = (node: HTMLElement): { notebook: NotebookPanel; model: ICellModel } | null => {
      const notebook = notebooks.find(panel => panel.content.node.contains(node));
      const cell = notebook?.content.widgets.find(({ node: other }) => other.contains(node));
      return notebook && cell ? { notebook, model: cell.model } : null;
    };

    /** What a console's error goes to: it has no cell to name. */
    const chatOfConsole = async () => {
      const chat = chats.lastUsed ?? (await splits?.open('')) ?? null;
      if (chat) {
        splits?.reveal(chat);
      }
      return chat;
    };

    const fixText = trans.__('Fix this error.');

    const fix = (notebook: NotebookPanel, model: ICellModel, facts: ErrorFacts): void => {
      const cell = cellChip(trans, notebook, model, false);
      void sendNow(
        chats.client, reveal(notebook), fixText, [errorChip(trans, notebook, model, facts), cell], cell.source
      );
    };

    const askHere = async (node: HTMLElement, facts: ErrorFacts): Promise<void> => {
      const found = findCell(node);
      const chat = found ? reveal(found.notebook) : await chatOfConsole();
      if (!chat) {
        return;
      }
      if (found) {
        chat.addContext(errorChip(trans, found.notebook, found.model, facts));
        chat.addContext(cellChip(trans, found.notebook, found.model, false));
      } else {
        chat.addContext({ type: 'error', label: facts.ename || trans.__('error'), ...facts });
      }
      chat.focus();
    };

    const fixHere = async (node: HTMLElement, facts: ErrorFacts): Promise<void> => {
      const found = findCell(node);
      if (found) {
        fix(found.notebook, found.model, facts);
        return;
      }
      const chat = await chatOfConsole();
      if (chat) {
        const item: ContextItem = { type: 'error', label: facts.ename || trans.__('error'), ...facts };
        await sendNow(chats.client, chat, fixText, [item]);
      }
    };

    /** The error of the cell that is meant, where it has one. */
    const failed = (args: ReadonlyPartialJSONObject) => {
      const found = meantCell(app, notebooks, args);
      const error = found ? outputsOf(found.cell.model).error : null;
      return found && error ? { ...found, error } : null;
    };
    app.commands.addCommand(CommandIDs.fixError, {
      label: trans.__('Fix With Agent'),
      caption: trans.__('Send the error of this cell, its code and its variables to the agent'),
      isEnabled: args => failed(args) !== null,
      isVisible: args => args['pointer'] !== true || failed(args) !== null,
      execute: args => {
        const found = failed(args);
        if (found) {
          activate(found);
          fix(found.notebook, found.cell.model, found.error);
        }
      },
      describedBy: MEANT
    });

    const stock = rendermime.getFactory(STDERR);
    if (!stock) {
      return;
    }
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [ERROR],
        createRenderer: options =>
          new ErrorRenderer(stock.createRenderer({ ...options, mimeType: STDERR }), {
            [trans.__('Ask agent')]: (node, facts) => void askHere(node, facts),
            [trans.__('Fix with agent')]: (node, facts) => void fixHere(node, facts)
          })
      },
      50
    );
  }
};
