/** What running a cell would do, as plain lines; what could not be read is said so. */

import type { JSX } from 'preact';
import type { Effect } from '../protocol.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { Visible } from './text.js';

const FIRST = 6;

const SIGNS: Readonly<Record<Effect['kind'], IconName>> = {
  rebinds: 'variables', deletes: 'trash', writes: 'edit', installs: 'plug', runs: 'shell', unknown: 'question'
};

/** The verb of a line; `certain` false: it depends on what happens. */
export function effectVerb({ kind, certain }: Effect): string {
  switch (kind) {
    case 'rebinds':
      return certain ? t('rebinds') : t('may rebind');
    case 'deletes':
      return certain ? t('deletes') : t('may delete');
    case 'writes':
      return certain ? t('writes') : t('may write');
    case 'installs':
      return certain ? t('installs') : t('may install');
    case 'runs':
      return certain ? t('runs') : t('may run');
    case 'unknown':
      return t('unknown:');
  }
}

/** `effects` null: not known yet. */
export function Effects({ effects }: { effects: readonly Effect[] | null }): JSX.Element {
  if (effects === null || effects.length === 0) {
    return (
      <p class="al-effect-none">
        {effects ? t('Changes nothing that is in memory, writes no files, as far as its code tells.') : t('What running it would do is not known yet.')}
      </p>
    );
  }
  const rest = effects.length - FIRST;
  return (
    <ul class="al-effect-list" aria-label={t('What running it would do')}>
      {effects.slice(0, FIRST).map(effect => (
        <li>
          <Icon name={SIGNS[effect.kind]} />
          <span>
            {effectVerb(effect)} {effect.name && <code><Visible text={effect.name} /></code>}
            {effect.detail && <span class="al-muted"> ({<Visible text={effect.detail} />})</span>}
          </span>
        </li>
      ))}
      {rest > 0 && <li class="al-muted" title={effects.slice(FIRST).map(each => `${effectVerb(each)} ${each.name}`).join('\n')}>{tn('and {n} more', 'and {n} more', rest)}</li>}
    </ul>
  );
}
