/** Chips: what goes along with a prompt, to look at and to drop. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ContextItem } from '../protocol.js';
import type { Attached } from './attachments.js';
import type { ComposerState } from './composerState.js';
import { bytes } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { plain, Visible } from './text.js';

const ICONS: Readonly<Record<ContextItem['type'], IconName>> = {
  cell: 'cell', output: 'list', error: 'warning', variable: 'variables', selection: 'read',
  terminal: 'shell', file: 'read', diff: 'edit', since: 'clock', trial: 'run'
};
export const contextIcon = (item: Pick<ContextItem, 'type'>): IconName => ICONS[item.type];

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
        {place && place !== contextLabel(item) && <span class="al-muted"> <Visible text={place} /></span>}
      </div>
      {parts.map(part => <pre tabIndex={0}><Visible text={part} /></pre>)}
      {parts.length === 0 && <p class="al-muted">{t('Its name is sent; the agent reads it itself.')}</p>}
    </div>
  );
}

function AttachedText({ item, asText }: { item: Attached; asText: (item: Attached) => void }): JSX.Element {
  const { block, note, pasted } = item;
  return (
    <div class="al-preview">
      <div class="al-preview-head">
        <Icon name={block.type === 'image' ? 'image' : 'clip'} /><Visible text={attachedLabel(item)} />
        {pasted && <button type="button" class="al-link" onClick={() => asText(item)}>{t('Paste as text')}</button>}
      </div>
      {note && <p class="al-muted">{note}</p>}
      {block.type === 'image'
        ? <img class="al-picture" alt={t('Image')} src={`data:${block.mime_type};base64,${block.data}`} />
        : <pre tabIndex={0}><Visible text={block.text} /></pre>}
    </div>
  );
}

export const attachedLabel = ({ block, note }: Attached): string =>
  block.type === 'resource'
    ? block.name || block.uri
    : [t('image, {size}', { size: bytes((block.data.length * 3) / 4) }), note].filter(Boolean).join(', ');

interface ChipsProps {
  readonly composer: ComposerState;
  /** Put a pasted chip's words into the text after all. */
  asText(item: Attached): void;
}

export function Chips({ composer, asText }: ChipsProps): JSX.Element | null {
  const [looked, look] = useState<ContextItem | Attached>();
  if (!composer.context.length && !composer.attached.length) {
    return null;
  }
  const item = composer.context.find(each => each === looked);
  const attached = composer.attached.find(each => each === looked);
  const chip = (each: ContextItem | Attached, icon: IconName, label: string, drop: () => void): JSX.Element => {
    const open = each === looked;
    return (
      <span class="al-chip" role="listitem">
        <button type="button" class="al-chip-look" aria-expanded={open} title={`${label}\n${t('Look at it')}`}
          onClick={() => look(open ? undefined : each)}>
          <Icon name={icon} /><span class="al-cut"><Visible text={label} /></span>
        </button>
        <button type="button" class="al-chip-drop" aria-label={t('Remove {label}', { label })} onClick={drop}>
          <Icon name="cross" />
        </button>
      </span>
    );
  };
  return (
    <>
      {(item || attached) && (
        <div class="al-look">
          {attached ? <AttachedText item={attached} asText={asText} /> : item && <ContextText item={item} />}
        </div>
      )}
      <div class="al-chips" role="list" aria-label={t('Goes along')}>
        {composer.context.map(each => chip(each, contextIcon(each), contextLabel(each), () => composer.drop(each)))}
        {composer.attached.map(each =>
          chip(each, each.block.type === 'image' ? 'image' : 'clip', attachedLabel(each), () => composer.detach(each)))}
      </div>
    </>
  );
}
