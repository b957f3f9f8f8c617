/** The chip of what happened since the last prompt: to look at, and to leave out of the next one. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Chat } from './chat.js';
import { contextIcon, contextLabel, ContextText } from './chips.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { Visible } from './text.js';

export function SinceChip({ chat }: { chat: Chat }): JSX.Element | null {
  const at = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const { happened, session } = chat;
  const bound = Boolean(session?.notebook);
  const turns = session?.usage.turns;
  useEffect(() => {
    if (!bound) {
      return undefined;
    }
    void happened.read(true);
    const panel = at.current?.closest('.al-composer');
    const gone = new AbortController();
    const look = (): void => void happened.read();
    panel?.addEventListener('focusin', look, { signal: gone.signal });
    panel?.addEventListener('input', look, { signal: gone.signal });
    return () => gone.abort();
  }, [bound, turns, session?.notebook?.kernel_id]);
  const item = happened.dropped ? undefined : happened.item;
  if (!item || session?.status === 'ended') {
    return <div ref={at} hidden />;
  }
  const label = contextLabel(item);
  return (
    <div ref={at}>
      {open && <div class="al-look"><ContextText item={item} /></div>}
      <div class="al-chips" role="list" aria-label={t('Told by itself')}>
        <span class="al-chip al-chip-since" role="listitem">
          <button type="button" class="al-chip-look" aria-expanded={open} title={`${label}\n${t('Look at it')}`}
            onClick={() => setOpen(!open)}>
            <Icon name={contextIcon(item)} /><span class="al-cut"><Visible text={label} /></span>
          </button>
          <button type="button" class="al-chip-drop" aria-label={t('Remove {label}', { label })}
            onClick={() => {
              setOpen(false);
              happened.drop();
              chat.composer.focus();
            }}>
            <Icon name="cross" />
          </button>
        </span>
      </div>
    </div>
  );
}
