/** Plugin: says who wrote a cell, leads to where, and takes the marks away. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, Notification, showDialog } from '@jupyterlab/apputils';
import { isCodeCellModel } from '@jupyterlab/cells';
import type { ICellModel } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import type { Client } from './client';
import { CommandIDs } from './commands';
import { describeMark, readMark } from './marks';
import type { Author, Mark } from './marks';
import { addCellCommand } from './meantCell';
import { IChats } from './tokens';

const KEY = 'agent_lab';
const PAGE = 2_000;
const MOST_PAGES = 10;

function markOf(model: ICellModel): Mark | null {
  const count = isCodeCellModel(model) ? model.executionCount : null;
  return readMark(model.getMetadata(KEY), model.sharedModel.getSource(), count);
}

/** Where in its session's log a turn begins; undefined where that is too far back, or gone. */
async function placeOf(client: Client, { session, turn }: Author, last: number): Promise<number | undefined> {
  let before = last + 1;
  let found: number | undefined;
  for (let page = 0; turn !== null && page < MOST_PAGES; page++) {
    const { events, more } = await client.eventsBefore(session, before, PAGE);
    const heads = events as { seq: number; turn_id: string | null }[];
    found = heads.find(({ turn_id }) => turn_id === turn)?.seq ?? found;
    const first = heads[0];
    if (!first || !more || (found !== undefined && found !== first.seq)) {
      break;
    }
    before = first.seq;
  }
  return found;
}

export const provenance: JupyterFrontEndPlugin<void> = {
  id: '@agent-lab/labextension:provenance',
  description: 'Tells which agent wrote a cell, and where.',
  autoStart: true,
  requires: [IChats, INotebookTracker],
  optional: [ICommandPalette, ITranslator],
  activate(
    app: JupyterFrontEnd,
    { client }: IChats,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) {
    const trans = (translator ?? nullTranslator).load('agent_lab');
    const say = trans.__.bind(trans);
    const language = (translator ?? nullTranslator).languageCode.replace('_', '-');
    const titles = new Map<string, string>();

    const describe = (mark: Mark): string =>
      describeMark(mark, titles.get((mark.wrote ?? mark.ran)?.session ?? '') ?? null, say, language);

    /** The tooltip, made when the pointer comes: a notebook without marks costs nothing. */
    const explain = (panel: NotebookPanel, event: Event): void => {
      const prompt = (event.target as Element | null)?.closest<HTMLElement>('.jp-InputPrompt');
      const cell = prompt && panel.content.widgets.find(({ node }) => node.contains(prompt));
      if (!prompt || !cell) {
        return;
      }
      const mark = markOf(cell.model);
      if (mark) {
        prompt.title = describe(mark);
        prompt.dataset['agentLab'] = 'yes';
      } else if (prompt.dataset['agentLab'] === 'yes') {
        prompt.removeAttribute('title');
        delete prompt.dataset['agentLab'];
      }
    };
    const follow = (panel: NotebookPanel) => {
      panel.content.node.addEventListener('pointerover', event => {
        explain(panel, event);
      });
    };
    notebooks.forEach(follow);
    notebooks.widgetAdded.connect((_, panel) => {
      follow(panel);
    });

    const tell = async (mark: Mark | null): Promise<void> => {
      const title = trans.__('Who wrote this');
      const close = Dialog.okButton({ label: trans.__('Close') });
      if (!mark) {
        const body = trans.__('No agent has left its mark on this cell.');
        await showDialog({ title, body, buttons: [close] });
        return;
      }
      const author = (mark.wrote ?? mark.ran) as Author;
      const session = await client.get(author.session).catch(() => null);
      if (session) {
        titles.set(session.id, session.title);
      }
      const gone = session ? '' : ` ${trans.__('That session is not here any more.')}`;
      const { button } = await showDialog({
        title,
        body: describe(mark) + gone,
        buttons: [
          ...(session ? [Dialog.cancelButton({ label: trans.__('Close') }), Dialog.okButton({ label: trans.__('Show in Session') })] : [close])
        ]
      });
      if (session && button.accept) {
        const seq = await placeOf(client, author, session.last_seq).catch(() => undefined);
        await app.commands.execute(CommandIDs.openSession, {
          session: session.id,
          ...(seq === undefined ? {} : { seq })
        });
      }
    };
    const listed = palette && { items: palette, category: trans.__('Agent') };
    addCellCommand(app, notebooks, listed, {
      id: CommandIDs.whoWrote,
      label: trans.__('Who Wrote This'),
      caption: trans.__('Which agent wrote or ran this cell, when, and in which session'),
      execute: ({ cell }) => tell(markOf(cell.model))
    });

    app.commands.addCommand(CommandIDs.removeMarks, {
      label: trans.__('Remove Agent Marks From This Notebook'),
      isEnabled: () => (notebooks.currentWidget?.content.model ?? null) !== null,
      execute: () => {
        const shared = notebooks.currentWidget?.content.model?.sharedModel;
        const marked = shared?.cells.filter(cell => cell.getMetadata(KEY) !== undefined) ?? [];
        shared?.transact(() => {
          for (const cell of marked) {
            cell.deleteMetadata(KEY);
          }
        }, false);
        Notification.info(
          trans._n('%1 mark was removed. Save the notebook to keep it so.', '%1 marks were removed. Save the notebook to keep it so.', marked.length),
          { autoClose: 5_000 }
        );
      },
      describedBy: { args: { type: 'object', properties: {} } }
    });
    listed?.items.addItem({ command: CommandIDs.removeMarks, category: listed.category });
  }
};
