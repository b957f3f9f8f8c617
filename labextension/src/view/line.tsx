/** One line of work (a thought, a call, a run of calls) that opens to what is in it. */

import type { ComponentChildren, JSX } from 'preact';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { Visible } from './text.js';

interface LineProps {
  readonly label: string;
  readonly icon: IconName;
  readonly name: string;
  readonly target?: string;
  /** The target is words, not code. */
  readonly prose?: boolean;
  readonly meta?: ComponentChildren;
  readonly open: boolean;
  toggle?(): void;
  readonly class?: string;
  /** Drawn as a framed card while open. */
  readonly card?: boolean;
  readonly children?: ComponentChildren;
}

export function Line(props: LineProps): JSX.Element {
  const { label, icon, name, target, prose, meta, open, toggle, card, children } = props;
  const inner = (
    <>
      <span class="al-chevron">{toggle && <Icon name={open ? 'chevronDown' : 'chevronRight'} class="al-small-icon" />}</span>
      <Icon name={icon} class="al-kind" />
      <span class="al-name"><Visible text={name} /></span>
      <span class={`al-target ${prose ? 'al-prose' : ''}`}>{target && <Visible text={target} />}</span>
      {meta && <span class="al-meta">{meta}</span>}
    </>
  );
  return (
    <div class={`al-work ${open && card ? 'al-card' : ''} ${props.class ?? ''}`} role="group" aria-label={label}
      aria-expanded={open}>
      {toggle
        ? <button type="button" class="al-line" aria-expanded={open} onClick={toggle}>{inner}</button>
        : <div class="al-line">{inner}</div>}
      {open && children}
    </div>
  );
}
