/** The menu of one row: beside its button, above it where there is no room below. */

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

export interface MenuItem {
  readonly label: string;
  readonly keys?: string;
  run(): void;
}

interface MenuProps {
  readonly label: string;
  readonly items: readonly MenuItem[];
  /** The button it belongs to, inside the same positioned element. */
  readonly at: HTMLElement;
  close(toButton: boolean): void;
}

export function RowMenu({ label, items, at, close }: MenuProps): JSX.Element {
  const menu = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = menu.current;
    const home = element?.offsetParent?.getBoundingClientRect();
    if (element && home) {
      const button = at.getBoundingClientRect();
      const below = button.bottom - home.top + 2;
      const fits = below + element.offsetHeight <= home.height;
      element.style.top = `${Math.max(0, fits ? below : button.top - home.top - element.offsetHeight - 2)}px`;
      element.style.right = `${home.right - button.right}px`;
      element.querySelector('button')?.focus();
    }
  }, [at]);
  useEffect(() => {
    const stop = new AbortController();
    document.addEventListener('pointerdown', event => {
      const target = event.target as Node;
      if (!menu.current?.contains(target) && !at.contains(target)) {
        close(false);
      }
    }, { signal: stop.signal });
    return () => stop.abort();
  }, [at]);
  const move = (step: number): void => {
    const all = [...(menu.current?.querySelectorAll('button') ?? [])];
    const now = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(now + step + all.length) % all.length]?.focus();
  };
  return (
    <div class="al-menu al-row-menu" role="menu" aria-label={label} ref={menu} onKeyDown={event => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step !== undefined) {
        event.preventDefault();
        move(step);
      } else if (event.key === 'Escape' || event.key === 'Tab') {
        event.preventDefault();
        close(true);
      }
      event.stopPropagation();
    }}>
      {items.map(item => (
        <button type="button" role="menuitem" tabIndex={-1} aria-keyshortcuts={item.keys} onClick={() => {
          close(true);
          item.run();
        }}>
          <span>{item.label}</span>{item.keys && <kbd aria-hidden="true">{item.keys}</kbd>}
        </button>
      ))}
    </div>
  );
}
