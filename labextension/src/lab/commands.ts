/** The ids under which our commands stand in JupyterLab's registry; `schema/plugin.json` names the same. */
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

export const CommandIDs = {
  /** A session beside a terminal, in the main area. */
  open: 'agent-lab:open',
  /** The current notebook's session, where the settings say. */
  openNotebook: 'agent-lab:open-notebook',
  /** An existing session, wherever it is shown already. */
  openSession: 'agent-lab:open-session',
  /** The list of all sessions. */
  showSessions: 'agent-lab:show-sessions',
  /** The browser's own notifications, which it allows only after a click. */
  toggleAlerts: 'agent-lab:toggle-alerts',
  copy: 'agent-lab:copy',
  paste: 'agent-lab:paste',
  sendSelection: 'agent-lab:send-selection',
  askCell: 'agent-lab:ask-cell',
  explainCell: 'agent-lab:explain-cell',
  fixError: 'agent-lab:fix-error',
  sendOutput: 'agent-lab:send-output',
  /** The field at the cell that asks for another version of it. */
  changeCell: 'agent-lab:change-cell',
  /** The next change that an agent proposes in the current notebook. */
  nextProposal: 'agent-lab:next-proposal',
  whoWrote: 'agent-lab:who-wrote',
  removeMarks: 'agent-lab:remove-marks'
} as const;

export const PLUGIN_ID = '@agent-lab/labextension:plugin';

export type Orientation = 'horizontal' | 'vertical';
export type Pane = 'chat' | 'terminal';

/** Arguments of `open`, and what the layout restorer keeps: all that brings the same split back. */
export interface OpenArgs {
  /** The restorer's name for this split: the layout refers to it, so it lives as long as the tab. */
  key?: string;
  /** An existing session; absent for a new one. */
  session?: string;
  /** For a new session: a folder, relative to the server's root. */
  cwd?: string;
  /** For a new session: a notebook and its kernel. */
  notebook?: string;
  kernel?: string;
  /** The chat's part of the whole, between 0 and 1. */
  ratio?: number;
  collapsed?: Pane;
  orientation?: Orientation;
}

function readString(args: ReadonlyPartialJSONObject, key: string): string | undefined {
  const value = args[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Saved arguments come from a workspace file that a person may have edited: keep what has the right shape. */
export function readOpenArgs(args: ReadonlyPartialJSONObject): OpenArgs {
  const read: OpenArgs = {};
  for (const key of ['key', 'session', 'cwd', 'notebook', 'kernel'] as const) {
    const value = readString(args, key);
    if (value !== undefined) {
      read[key] = value;
    }
  }
  const { ratio, collapsed, orientation } = args;
  if (typeof ratio === 'number' && ratio > 0 && ratio < 1) {
    read.ratio = ratio;
  }
  if (collapsed === 'chat' || collapsed === 'terminal') {
    read.collapsed = collapsed;
  }
  if (orientation === 'horizontal' || orientation === 'vertical') {
    read.orientation = orientation;
  }
  return read;
}
