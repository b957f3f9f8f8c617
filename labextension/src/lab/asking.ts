/** Brings what a person points at in a notebook to its agent: as chips to write to, or sent at once. */
import { Notification } from '@jupyterlab/apputils';
import { isCodeCellModel } from '@jupyterlab/cells';
import type { ICellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ContentBlock, ContextItem } from '../protocol';
import { chipOf, worthNaming } from '../view/variables';

import type { ChatWidget } from './chatWidget';
import type { Client, Session } from './client';
import { namesIn } from './names';
import { readOutputs } from './references';
import type { INotebookChats, ISplits } from './tokens';

/** A kernel that does not tell its variables may take seconds to say so. */
const PATIENCE = 2_000;
const MOST_VARIABLES = 20;

/** The chat of a notebook, in the side bar or in a split, brought to the front. */
export type Reveal = (notebook: NotebookPanel) => ChatWidget;

export function revealChat(sidebar: INotebookChats, splits: ISplits | null): Reveal {
  return notebook => {
    const kernel = notebook.sessionContext.session?.kernel?.id;
    return (kernel === undefined ? null : splits?.revealKernel(kernel)) ?? sidebar.reveal(notebook);
  };
}

const labelOf = (trans: TranslationBundle, count: number | null, kind: 'cell' | 'error' | 'output'): string => {
  if (count === null) {
    return { cell: trans.__('cell'), error: trans.__('error in a cell'), output: trans.__('output of a cell') }[kind];
  }
  const n = String(count);
  return {
    cell: trans.__('cell [%1]', n), error: trans.__('error in [%1]', n), output: trans.__('output of [%1]', n)
  }[kind];
};

function placeOf(notebook: NotebookPanel, model: ICellModel): { count: number | null; where: Partial<ContextItem> } {
  const count = isCodeCellModel(model) ? model.executionCount : null;
  const where = {
    notebook: notebook.context.localPath,
    cell_id: model.id,
    ...(count === null ? {} : { execution_count: count })
  };
  return { count, where };
}

type ErrorFacts = Pick<ContextItem, 'ename' | 'evalue' | 'traceback'>;

export function errorChip(
  trans: TranslationBundle, notebook: NotebookPanel, model: ICellModel, facts: ErrorFacts
): ContextItem {
  const { count, where } = placeOf(notebook, model);
  return { type: 'error', label: labelOf(trans, count, 'error'), ...where, ...facts };
}

/** A cell as it is now, with its outputs unless another chip has them. */
export function cellChip(
  trans: TranslationBundle, notebook: NotebookPanel, model: ICellModel, outputs = true
): ContextItem {
  const { count, where } = placeOf(notebook, model);
  const shown = outputs ? outputsOf(model) : { text: '', error: null };
  return {
    type: 'cell',
    label: labelOf(trans, count, 'cell'),
    ...where,
    source: model.sharedModel.getSource(),
    ...(shown.text ? { text: shown.text } : {}),
    ...shown.error
  };
}

/** One of a cell's outputs, or with `index` null all of them. Null where there is nothing to send. */
export function outputChip(
  trans: TranslationBundle, notebook: NotebookPanel, model: ICellModel, index: number | null
): ContextItem | null {
  const { count, where } = placeOf(notebook, model);
  const { text, error } = outputsOf(model, index);
  return text === '' && !error
    ? null
    : { type: 'output', label: labelOf(trans, count, 'output'), ...where, ...(text ? { text } : {}), ...error };
}

export function outputsOf(model: ICellModel, index: number | null = null): ReturnType<typeof readOutputs> {
  const all = isCodeCellModel(model) ? (model.outputs.toJSON() as unknown as Record<string, unknown>[]) : [];
  return readOutputs(index === null ? all : all.slice(index, index + 1));
}

/** The variables that a source names, as the kernel tells them; none where it does not. */
export async function involved(client: Client, session: Session, source: string): Promise<ContextItem[]> {
  const names = namesIn(source);
  if (names.size === 0 || !session.notebook?.kernel_id) {
    return [];
  }
  const known = await client.variables(session.id, AbortSignal.timeout(PATIENCE));
  return worthNaming(known)
    .filter(({ name }) => names.has(name))
    .slice(0, MOST_VARIABLES)
    .map(chipOf);
}

/** As soon as the chat has one; a person may have to say first whether the folder is trusted. */
export function sessionOf(chat: ChatWidget): Promise<Session> {
  if (chat.session) {
    return Promise.resolve(chat.session);
  }
  return new Promise((resolve, reject) => {
    chat.opened.connect(function once(_, session) {
      chat.opened.disconnect(once);
      resolve(session);
    });
    chat.disposed.connect(() => {
      reject(new Error('The chat was closed.'));
    });
  });
}

export const words = (text: string): ContentBlock => ({ type: 'text', text });

/** Sends at once. `source` is the code whose variables go along. Never raises: a failure is told. */
export async function sendNow(
  client: Client, chat: ChatWidget, text: string, items: readonly ContextItem[], source = ''
): Promise<void> {
  try {
    const session = await sessionOf(chat);
    const variables = await involved(client, session, source);
    await client.prompt(session.id, { content: [words(text)], context: [...items, ...variables] });
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error));
  }
}
