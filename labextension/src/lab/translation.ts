/** JupyterLab's language for what knows no JupyterLab: the views, and a panel in the output of a cell. */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Translator } from '../view/i18n';

// Not `__` and `_n`: what the catalogue is made from is found by these names.
export const translatorOf = (trans: TranslationBundle): Translator => ({
  translate: text => trans.gettext(text),
  translatePlural: (one, more, n) => trans.ngettext(one, more, n)
});

/** Tell the panels of this page whose host speaks no language; `view/i18n` looks there. */
export function share(trans: TranslationBundle): void {
  Object.assign(globalThis, { [Symbol.for('agent-lab:translator')]: translatorOf(trans) });
}
