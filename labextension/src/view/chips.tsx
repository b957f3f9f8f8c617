/** Context chips: what goes along with a prompt, to look at and to drop. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ContextItem, ImageBlock } from '../protocol.js';
import type { ComposerState } from './composerState.js';
import { bytes } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { plain, Visible } from './text.js';

const ICONS: Readonly<Record<ContextItem['type'], IconName>> = {
  cell: 'cell', output: 'list', error: 'warning', variable: 'variables', selection: 'read',
  terminal: 'shell', file: 'read', diff: 'edit'
};
export const contextIcon = (item: ContextItem): IconName => ICONS[item.type];

export function contextLabel(item: ContextItem): string {
  if (item.label) {
    return item.label;
  }
  const cell = item.execution_count === undefined ? '' : ` [${item.execution_count}]`;
  return `${t(item.type)}${cell || ` ${item.name ?? item.path ?? item.terminal ?? item.notebook ?? ''}`}`.trim();
}

/** All of what is sent, word for word. */
export function ContextText({ item }: { item: ContextItem }): JSX.Element {
  const place = [item.notebook, item.path, item.terminal].filter(Boolean).join(', ');
  const parts = [
    item.source,
    // A traceback ends with these words.
    !item.traceback && (item.ename || item.evalue) ? `${item.ename ?? ''}: ${item.evalue ?? ''}` : undefined,
    item.traceback && plain(item.traceback),
    item.text && plain(item.text)
  ].filter((part): part is string => Boolean(part));
  return (
    <div class="al-preview">
      <div class="al-preview-head"><Icon name={contextIcon(item)} /><Visible text={contextLabel(item)} />
        {place && <span class="al-muted"> <Visible text={place} /></span>}
      </div>
      {parts.map(part => <pre tabIndex={0}><Visible text={part} /></pre>)}
    </div>
  );
}

export function Chips({ composer }: { composer: ComposerState }): JSX.Element | null {
  const [looked, look] = useState<ContextItem | ImageBlock>();
  if (!composer.context.length && !composer.images.length) {
    return null;
  }
  const open = [...composer.context, ...composer.images].find(each => each === looked);
  const chip = (item: ContextItem | ImageBlock, icon: IconName, label: string, drop: () => void): JSX.Element => (
    <span class="al-chip">
      <button type="button" class="al-chip-look" aria-expanded={item === open} title={t('Look at it')}
        onClick={() => look(item === open ? undefined : item)}>
        <Icon name={icon} /><span class="al-cut"><Visible text={label} /></span>
      </button>
      <button type="button" class="al-chip-drop" aria-label={t('Remove {label}', { label })} onClick={drop}>
        <Icon name="cross" />
      </button>
    </span>
  );
  return (
    <>
      {open && (
        <div class="al-look">
          {'data' in open
            ? <img class="al-picture" alt={t('Image')} src={`data:${open.mime_type};base64,${open.data}`} />
            : <ContextText item={open as ContextItem} />}
        </div>
      )}
      <div class="al-chips">
        {composer.context.map(item =>
          chip(item, contextIcon(item), contextLabel(item), () => composer.drop(item)))}
        {composer.images.map(image =>
          chip(image, 'image', t('image, {size}', { size: bytes((image.data.length * 3) / 4) }),
            () => composer.dropImage(image)))}
      </div>
    </>
  );
}
