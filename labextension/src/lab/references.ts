/** What JupyterLab can offer to `@`: a notebook's cells with their outputs, the terminal beside, dropped files. */
import type { ICellModel, ICodeCellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Terminal } from '@jupyterlab/terminal';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { MimeData } from '@lumino/coreutils';

import type { ContextItem } from '../protocol';
import type { Reference } from '../view/host';

import { countLines, plainText } from './text';

const LONGEST_OUTPUT = 20_000;
const TERMINAL_LINES = 200;
const CONTENTS_MIME = 'application/x-jupyter-icontents';

interface Outputs {
  readonly text: string;
  readonly error: { readonly ename: string; readonly evalue: string; readonly traceback: string } | null;
}

const joined = (value: unknown): string => (Array.isArray(value) ? value.join('') : typeof value === 'string' ? value : '');

/** The words among a cell's outputs, cut in the middle where they are many. Pictures are named only. */
export function readOutputs(outputs: readonly Record<string, unknown>[]): Outputs {
  const parts: string[] = [];
  let error: Outputs['error'] = null;
  for (const output of outputs) {
    if (output['output_type'] === 'error') {
      const traceback = Array.isArray(output['traceback']) ? output['traceback'].join('\n') : '';
      error = { ename: joined(output['ename']), evalue: joined(output['evalue']), traceback: plainText(traceback) };
    } else if (output['output_type'] === 'stream') {
      parts.push(plainText(joined(output['text'])));
    } else {
      const data = (output['data'] ?? {}) as Record<string, unknown>;
      const picture = Object.keys(data).find(mime => mime.startsWith('image/'));
      parts.push(joined(data['text/plain']) || (picture ? `<${picture}>` : ''));
    }
  }
  const text = parts.filter(Boolean).join('\n');
  const half = LONGEST_OUTPUT / 2;
  return { text: text.length > LONGEST_OUTPUT ? `${text.slice(0, half)}\n…\n${text.slice(-half)}` : text, error };
}

const firstLine = (source: string): string => source.split('\n').find(line => line.trim() !== '')?.trim().slice(0, 80) ?? '';

/** Errors first, then the cells as near as they are to the active one. */
export function notebookReferences(notebook: NotebookPanel, trans: TranslationBundle): Reference[] {
  const path = notebook.context.localPath;
  const cells = notebook.content.model?.cells;
  const active = notebook.content.activeCellIndex;
  const errors: Reference[] = [];
  const near: { readonly reference: Reference; readonly distance: number }[] = [];
  for (let index = 0; index < (cells?.length ?? 0); index++) {
    const model = cells?.get(index) as ICellModel;
    const source = model.sharedModel.getSource();
    const code = model.type === 'code' ? (model as ICodeCellModel) : null;
    const count = code?.executionCount ?? null;
    const outputs = readOutputs(code ? (code.outputs.toJSON() as unknown as Record<string, unknown>[]) : []);
    if (source.trim() === '' && outputs.text === '' && !outputs.error) {
      continue;
    }
    const label = count === null ? trans.__('cell %1', index + 1) : `[${String(count)}]`;
    const where = { notebook: path, cell_id: model.id, ...(count === null ? {} : { execution_count: count }) };
    const cell: ContextItem = {
      type: 'cell',
      label: count === null ? label : trans.__('cell %1', label),
      ...where,
      source,
      ...(outputs.text ? { text: outputs.text } : {}),
      ...outputs.error
    };
    near.push({
      distance: Math.abs(index - active),
      reference: { kind: 'cell', label, detail: firstLine(source), item: () => Promise.resolve(cell) }
    });
    if (outputs.error) {
      const { ename, evalue } = outputs.error;
      const item: ContextItem = { ...cell, type: 'error', label: trans.__('error in %1', label) };
      errors.push({
        kind: 'error',
        label: trans.__('error in %1', label),
        detail: `${ename}: ${evalue}`.slice(0, 80),
        item: () => Promise.resolve(item)
      });
    }
  }
  return [...errors, ...near.sort((a, b) => a.distance - b.distance).map(({ reference }) => reference)];
}

/** The part of xterm that holds what is on the screen and above it. */
interface Buffer {
  readonly length: number;
  getLine(index: number): { readonly isWrapped: boolean; translateToString(trimRight: boolean): string } | undefined;
}

/** The last lines of a terminal as they look: JupyterLab's widget gives its selection only, xterm inside it all. */
export function terminalText(terminal: Terminal): string {
  const { _term } = terminal as unknown as { _term?: { buffer?: { active?: Buffer } } };
  const buffer = _term?.buffer?.active;
  const lines: string[] = [];
  for (let index = 0; index < (buffer?.length ?? 0); index++) {
    const line = buffer?.getLine(index);
    const text = line?.translateToString(true) ?? '';
    if (line?.isWrapped && lines.length > 0) {
      lines[lines.length - 1] += text;
    } else {
      lines.push(text);
    }
  }
  return plainText(lines.join('\n')).replace(/\n+$/, '').split('\n').slice(-TERMINAL_LINES).join('\n');
}

/** Nothing where the terminal shows nothing. */
export function terminalReferences(terminal: Terminal | null, trans: TranslationBundle): Reference[] {
  const text = terminal ? terminalText(terminal) : '';
  if (!terminal || text.trim() === '') {
    return [];
  }
  const lines = trans._n('terminal, %1 line', 'terminal, %1 lines', countLines(text));
  const item: ContextItem = { type: 'terminal', label: lines, terminal: terminal.session.name, text };
  return [{ kind: 'terminal', label: trans.__('terminal'), detail: lines, item: () => Promise.resolve(item) }];
}

/** A path of the server as it is seen from a folder; both are relative to the server's root. Pure. */
export function fromFolder(folder: string, path: string): string {
  const here = folder.split('/').filter(Boolean);
  const there = path.split('/').filter(Boolean);
  let same = 0;
  while (same < here.length && same < there.length - 1 && here[same] === there[same]) {
    same++;
  }
  return [...here.slice(same).map(() => '..'), ...there.slice(same)].join('/');
}

/** JupyterLab's own drag from its file browser: events of its own kind, with the paths inside. */
interface LabDrag extends DragEvent {
  readonly mimeData: MimeData;
  readonly supportedActions: string;
  dropAction: string;
}

/** Files of JupyterLab's file browser that are dropped on `node` go to `add`, as paths of the server. */
export function acceptFiles(node: HTMLElement, add: (paths: readonly string[]) => void): void {
  const on = (type: string, act: (event: LabDrag) => void) => {
    node.addEventListener(type, event => {
      const drag = event as LabDrag;
      if (drag.mimeData.hasData(CONTENTS_MIME)) {
        event.preventDefault();
        event.stopPropagation();
        act(drag);
      }
    });
  };
  const allow = (drag: LabDrag) => {
    // The file browser offers to move its files; here they stay where they are.
    drag.dropAction = drag.supportedActions.includes('copy') || drag.supportedActions === 'all' ? 'copy' : 'move';
    node.classList.add('al-mod-drop');
  };
  on('lm-dragenter', allow);
  on('lm-dragover', allow);
  on('lm-dragleave', () => {
    node.classList.remove('al-mod-drop');
  });
  on('lm-drop', drag => {
    node.classList.remove('al-mod-drop');
    // Else the file browser would refresh as if the files had left it.
    drag.dropAction = 'none';
    const paths = drag.mimeData.getData(CONTENTS_MIME) as readonly string[];
    add(paths.map(path => path.replace(/^[^/:]+:/, '')));
  });
}
