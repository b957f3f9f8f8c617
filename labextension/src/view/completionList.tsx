/** The list above the composer: what fits the word being typed, to be taken by key or pointer. */

import type { JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Found, Group } from './completion.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { Visible } from './text.js';

const NAMES: Readonly<Record<Group, string>> = {
  command: 'Commands', cell: 'Cells', variable: 'Variables', terminal: 'Terminal', file: 'Files', session: 'Sessions'
};

interface ListProps {
  readonly id: string;
  readonly label: string;
  readonly found: readonly Found[];
  /** -1: none is pointed at. */
  readonly active: number;
  take(index: number): void;
}

export const optionId = (list: string, index: number): string => `${list}-${index}`;

/** So many are shown at a time. A list that scrolled would have to take the focus, which the field keeps. */
const SHOWN = 9;

export function CompletionList({ id, label, found, active, take }: ListProps): JSX.Element {
  const [first, show] = useState(0);
  const before = useRef(active);
  const last = Math.max(0, found.length - SHOWN);
  let from = Math.min(first, last);
  if (active !== before.current) {
    before.current = active;
    from = active < 0 ? 0 : Math.min(Math.max(from, active - SHOWN + 1), active);
  }
  useLayoutEffect(() => show(from), [from]);
  const groups: { name: Group; from: number; found: Found[] }[] = [];
  found.slice(from, from + SHOWN).forEach((each, index) => {
    const group = groups.at(-1);
    if (group?.name === each.offer.group) {
      group.found.push(each);
    } else {
      groups.push({ name: each.offer.group, from: from + index, found: [each] });
    }
  });
  return (
    <div class="al-completion"
      // The field keeps the focus, so that typing goes on.
      onPointerDown={event => event.preventDefault()}
      onWheel={event => show(Math.max(0, Math.min(last, from + Math.sign(event.deltaY))))}>
      <div role="listbox" id={id} aria-label={label}>
        {groups.map(group => (
          <div class="al-offers" role="group" aria-label={t(NAMES[group.name])} key={group.name}>
            {group.found.map(({ offer, at }, inGroup) => {
              const index = group.from + inGroup;
              return (
                <div role="option" class="al-offer" id={optionId(id, index)} key={offer.id} aria-selected={index === active}
                  aria-posinset={index + 1} aria-setsize={found.length} onClick={() => take(index)}>
                  <Icon name={offer.icon} />
                  <code><Marked text={offer.group === 'command' ? `/${offer.label}` : offer.label}
                    at={offer.group === 'command' ? at.map(each => each + 1) : at} /></code>
                  {offer.hint && <span class="al-muted al-offer-hint"><Visible text={offer.hint} /></span>}
                  <span class="al-completion-about"><Visible text={offer.detail} /></span>
                </div>
              );
            })}
          </div>
        ))}
      </div>
      {found.length > SHOWN && (
        <div class="al-more" aria-hidden="true">{t('{from} to {to} of {n}', { from: from + 1, to: from + SHOWN, n: found.length })}</div>
      )}
    </div>
  );
}

function Marked({ text, at }: { text: string; at: readonly number[] }): JSX.Element {
  const parts: JSX.Element[] = [];
  let from = 0;
  for (let i = 0; i < at.length; ) {
    let to = i + 1;
    while (at[to] === at[to - 1]! + 1) {
      to += 1;
    }
    const [start, end] = [at[i]!, at[to - 1]! + 1];
    parts.push(<Visible text={text.slice(from, start)} />, <b><Visible text={text.slice(start, end)} /></b>);
    from = end;
    i = to;
  }
  return <>{parts}<Visible text={text.slice(from)} /></>;
}
