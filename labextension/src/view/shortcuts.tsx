/** Which keys do what in the panel. */

import type { JSX } from 'preact';
import { Dialog } from './dialog.js';
import { t } from './i18n.js';

/** @words */
const KEYS: readonly (readonly [where: string, keys: readonly (readonly [keys: string, what: string])[]])[] = [
  ['Writing', [
    ['Enter', 'send; while a turn runs, queue'],
    ['Shift+Enter', 'new line'],
    ['↑ ↓', 'earlier messages, from the first and the last line'],
    ['@', 'attach a cell, a variable, a file, the terminal, another session'],
    ['/', 'commands of the agent'],
    ['Tab', 'take what is offered; go into a folder'],
    ['Shift+Ctrl+V', 'paste a long text as text, not as a chip']
  ]],
  ['The turn', [
    ['Escape', 'stop it'],
    ['1 2 3', 'answer a permission, in the order of its options'],
    ['Escape', 'reject what is asked for']
  ]],
  ['Elsewhere', [
    ['Enter', 'in the title: rename'],
    ['Escape', 'close what has been opened'],
    ['Ctrl+Shift+Enter', 'in a terminal: send the selection to the agent']
  ]]
];

export function Shortcuts({ close }: { close: () => void }): JSX.Element {
  return (
    <Dialog title={t('Keyboard shortcuts')} close={close}>
      {KEYS.map(([where, keys]) => (
        <section>
          <h4>{t(where)}</h4>
          <dl class="al-keys">
            {keys.map(([key, what]) => (
              <div><dt><kbd>{key}</kbd></dt><dd>{t(what)}</dd></div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
