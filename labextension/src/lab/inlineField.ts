/** A field at a cell that asks the agent for another version of this cell. */
import type { Cell } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { cellChip, involved, sessionOf, words } from './asking';
import type { Reveal } from './asking';
import { button } from './card';
import { RefusedError } from './client';
import type { Client, Session } from './client';
import { turnEvents, wordsOf } from './turnEvents';

/** The agent's own words, where they are all that there is to show at the cell. */
const MOST_WORDS = 300;

interface Surroundings {
  readonly client: Client;
  readonly notebook: NotebookPanel;
  readonly cell: Cell;
  readonly reveal: Reveal;
  readonly trans: TranslationBundle;
}

/** For the model, so not translated: the tool's name and the cell's id are what it needs. */
function instruction(path: string, id: string, empty: boolean): string {
  const what = empty
    ? `The cell ${id} of ${path} is empty: write its source`
    : `Change only the cell ${id} of ${path}: give its new source`;
  return `\n\n(${what} with the tool edit_cell, cell_id "${id}". Use what is in the kernel's memory; run nothing for it unless asked.)`;
}

export class InlinePrompt extends Widget {
  constructor(private readonly _around: Surroundings) {
    super();
    const { cell, notebook, trans } = _around;
    this._mode = notebook.content.mode;
    this._empty = cell.model.sharedModel.getSource().trim() === '';
    const name = this._empty ? trans.__('Write this cell with the agent') : trans.__('Change this cell with the agent');
    this.addClass('al-Inline');
    this.node.setAttribute('role', 'group');
    this.node.setAttribute('aria-label', name);
    // The notebook's shortcuts and its own key handling would run the cell or take the focus.
    this.node.dataset['lmSuppressShortcuts'] = 'true';
    this.node.addEventListener('keydown', event => {
      event.stopPropagation();
      this._key(event);
    });

    this._field.rows = 1;
    this._field.className = 'al-Inline-field';
    this._field.setAttribute('aria-label', name);
    this._field.placeholder = this._empty
      ? trans.__('Write this cell: what should it do?')
      : trans.__('Change this cell: what should be different?');
    this._field.addEventListener('input', () => {
      this._fit();
    });
    this._status.className = 'al-Inline-status';
    this._status.setAttribute('role', 'status');
    const line = document.createElement('div');
    line.className = 'al-Inline-line';
    line.append(this._field, this._buttons);
    this.node.append(line, this._status);
    this._buttons.className = 'al-Inline-buttons';
    this._offer('write');
  }

  focus(): void {
    this._field.focus();
    this._field.select();
  }

  override dispose(): void {
    this._gone.abort();
    super.dispose();
  }

  protected override onAfterAttach(): void {
    this._fit();
  }

  private _key(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      event.preventDefault();
      this._close();
    } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.target === this._field) {
      event.preventDefault();
      void this._send();
    }
  }

  private _fit(): void {
    this._field.style.height = 'auto';
    this._field.style.height = `${String(this._field.scrollHeight + 2)}px`;
  }

  /** Back to where the person was; a turn that runs goes on, and shows in the chat. */
  private _close(): void {
    const { cell, notebook } = this._around;
    const { content } = notebook;
    const had = this.node.contains(document.activeElement);
    const mode = this._mode;
    this.dispose();
    if (had) {
      content.activeCellIndex = Math.max(0, content.widgets.indexOf(cell));
      content.mode = mode;
      content.activate();
    }
  }

  private _offer(state: 'write' | 'work' | 'done'): void {
    const { trans } = this._around;
    const had = this._buttons.contains(document.activeElement);
    const close = button(trans.__('Close'), () => {
      this._close();
    });
    const send = button(trans.__('Send'), () => void this._send());
    send.classList.add('al-mod-filled');
    const stop = button(trans.__('Stop'), () => void this._stop());
    const show = button(trans.__('Show in chat'), () => {
      this._around.reveal(this._around.notebook).focus();
    });
    const shown = { write: [send, close], work: [stop, show, close], done: [send, show, close] }[state];
    this._buttons.replaceChildren(...shown);
    if (had) {
      this._field.focus();
    }
  }

  private _say(text: string): void {
    if (this._status.textContent !== text) {
      this._status.textContent = text;
    }
  }

  private async _stop(): Promise<void> {
    if (this._session) {
      await this._around.client.cancel(this._session.id).catch(() => undefined);
    }
  }

  /** The notebook's session; its chat is shown only where a person has to answer first. */
  private async _open(): Promise<Session> {
    const { client, notebook, reveal } = this._around;
    const kernel = notebook.sessionContext.session?.kernel?.id;
    try {
      return await client.create({
        notebook: notebook.context.localPath,
        ...(kernel === undefined ? {} : { kernel_id: kernel })
      });
    } catch (error) {
      if (error instanceof RefusedError && error.reason === 'workspace_untrusted') {
        return sessionOf(reveal(notebook));
      }
      throw error;
    }
  }

  private async _send(): Promise<void> {
    const { cell, client, notebook, trans } = this._around;
    const text = this._field.value.trim();
    if (text === '' || this._working) {
      return;
    }
    this._working = true;
    this._field.readOnly = true;
    this._say(trans.__('Working…'));
    this._offer('work');
    const { model } = cell;
    const source = model.sharedModel.getSource();
    try {
      const session = (this._session = await this._open());
      const chips = [cellChip(trans, notebook, model), ...(await involved(client, session, `${source}\n${text}`))];
      const response = await client.promptEvents(
        session.id,
        { content: [words(text), words(instruction(notebook.context.localPath, model.id, this._empty))], context: chips },
        this._gone.signal
      );
      let said = '';
      let ended = false;
      for await (const event of turnEvents(response)) {
        if (event.type === 'permission_request') {
          this._say(
            event.change?.cell_id === model.id
              ? trans.__('The agent proposes a change: answer it below.')
              : trans.__('Waits for your answer in the chat: %1', event.title ?? '')
          );
        } else if (event.type === 'permission_resolved' || event.type === 'turn_started') {
          this._say(trans.__('Working…'));
        } else if (event.type === 'tool_call') {
          this._say(trans.__('Working: %1', event.title ?? ''));
        } else if (event.type === 'agent_message') {
          said = wordsOf(event);
        } else if (event.type === 'turn_ended') {
          ended = true;
          const changed = model.sharedModel.getSource() !== source;
          this._say(this._outcome(event.stop_reason ?? '', event.error?.message ?? '', changed, said));
        }
      }
      if (!ended) {
        this._say(trans.__('The connection was lost; look in the chat.'));
      }
    } catch (error) {
      if (this._gone.signal.aborted) {
        return;
      }
      this._say(error instanceof Error ? error.message : String(error));
    }
    this._working = false;
    this._field.readOnly = false;
    this._offer('done');
  }

  private _outcome(reason: string, error: string, changed: boolean, said: string): string {
    const { trans } = this._around;
    if (reason === 'cancelled') {
      return trans.__('Stopped.');
    }
    if (reason === 'error') {
      return error;
    }
    const short = said.length > MOST_WORDS ? `${said.slice(0, MOST_WORDS)}…` : said;
    const what = changed ? trans.__('The agent changed this cell; undo takes it back.') : trans.__('The agent left this cell as it is.');
    return short ? `${what} ${short}` : what;
  }

  private readonly _buttons = document.createElement('div');
  private readonly _field = document.createElement('textarea');
  private readonly _gone = new AbortController();
  private readonly _empty: boolean;
  private readonly _mode: 'command' | 'edit';
  private _session: Session | null = null;
  private readonly _status = document.createElement('div');
  private _working = false;
}
