/** The question about a folder whose own files an agent would obey before the first word. */

import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { Gate } from './sessionStore.js';
import { Visible } from './text.js';

export function GateCard({ gate, close }: { gate: Gate; close(): void }): JSX.Element {
  const card = useRef<HTMLDivElement>(null);
  useEffect(() => card.current?.focus(), [gate]);
  return (
    <div class="al-card-note al-tone-warning" role="alert" tabIndex={-1} ref={card}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.preventDefault();
          close();
        }
      }}>
      <Icon name="lock" />
      <div>
        <h3>{t('Do you trust the files of this folder?')}</h3>
        {gate.folder && <p><Visible text={gate.folder} /></p>}
        <p>{t('The agent would obey these before your first word:')}</p>
        <ul class="al-gate-files">
          {gate.files.map(file => <li><code><Visible text={file} /></code></li>)}
        </ul>
        <div class="al-buttons">
          <button type="button" class="al-button" onClick={() => gate.decide(true)}>{t('Trust')}</button>
          <button type="button" class="al-button" onClick={() => gate.decide(false)}>{t('Go on without them')}</button>
          <button type="button" class="al-link" onClick={close}>{t('Cancel')}</button>
        </div>
      </div>
    </div>
  );
}
