/** Plugin: a button "Send to agent" on a cell's error. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { isCodeCellModel } from '@jupyterlab/cells';
import type { ICellModel } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Panel, Widget } from '@lumino/widgets';

import type { ContextItem } from '../protocol';

import { button } from './card';
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

function readCell(path: string, model: ICellModel): Partial<ContextItem> {
  const count = isCodeCellModel(model) ? model.executionCount : null;
  return {
    notebook: path,
    cell_id: model.id,
    source: model.sharedModel.getSource(),
    ...(count === null ? {} : { execution_count: count })
  };
}

/** JupyterLab's own rendering of an error, with our button above it. */
class ErrorRenderer extends Panel implements IRenderMime.IRenderer {
  constructor(
    private readonly _stock: IRenderMime.IRenderer,
    label: string,
    send: (node: HTMLElement, facts: ErrorFacts) => void
  ) {
    super();
    this.addClass('al-Error');
    const bar = new Widget();
    bar.addClass('al-Error-bar');
    bar.node.append(
      button(label, () => {
        send(this.node, this._facts);
      })
    );
    this.addWidget(bar);
    this.addWidget(_stock);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._facts = readFacts(model);
    await this._stock.renderModel(model);
  }

  private _facts: ErrorFacts = {};
}

export const errors: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:errors',
  description: 'Sends a cell’s error to the agent.',
  autoStart: true,
  requires: [IRenderMimeRegistry, IChats, INotebookChats, INotebookTracker],
  optional: [ISplits, ITranslator],
  activate(
    _app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    chats: IChats,
    sidebar: INotebookChats,
    notebooks: INotebookTracker,
    splits: ISplits | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');

    const findNotebook = (node: HTMLElement): NotebookPanel | null =>
      notebooks.find(panel => panel.content.node.contains(node)) ?? null;

    const send = async (node: HTMLElement, facts: ErrorFacts) => {
      const notebook = findNotebook(node);
      const cell = notebook?.content.widgets.find(({ node: other }) => other.contains(node));
      if (!notebook || !cell) {
        // A console's error has no cell to name.
        const chat = chats.lastUsed ?? (await splits?.open(''));
        chat?.addContext({ type: 'error', label: facts.ename || trans.__('error'), ...facts });
        if (chat) {
          splits?.reveal(chat);
          chat.focus();
        }
        return;
      }
      const place = readCell(notebook.context.localPath, cell.model);
      const label =
        place.execution_count === undefined
          ? trans.__('error in a cell')
          : trans.__('error in [%1]', place.execution_count);
      const kernel = notebook.sessionContext.session?.kernel?.id;
      const chat = (kernel === undefined ? null : splits?.revealKernel(kernel)) ?? sidebar.reveal(notebook);
      chat.addContext({ type: 'error', label, ...place, ...facts });
      chat.focus();
    };

    const stock = rendermime.getFactory(STDERR);
    if (!stock) {
      return;
    }
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [ERROR],
        createRenderer: options =>
          new ErrorRenderer(
            stock.createRenderer({ ...options, mimeType: STDERR }),
            trans.__('Send to agent'),
            (node, facts) => void send(node, facts)
          )
      },
      50
    );
  }
};
