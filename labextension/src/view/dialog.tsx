/** Two kinds of windows in the panel: a dialog that must be answered, and a small one beside its button. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef } from 'preact/hooks';
import { t } from './i18n.js';
import { Icon } from './icons.js';

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Its buttons; absent: one that closes it. */
  readonly buttons?: ComponentChildren;
  readonly alert?: boolean;
  close(): void;
}

/** Over everything, and the only thing that keys reach. Escape closes it. */
export function Dialog({ title, children, buttons, alert = false, close }: DialogProps): JSX.Element {
  const at = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = at.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) {
        before.focus();
      }
    };
  }, []);
  return (
    <dialog class="al-dialog" ref={at} role={alert ? 'alertdialog' : 'dialog'} aria-labelledby={id}
      onCancel={event => {
        event.preventDefault();
        close();
      }}
      onKeyDown={event => {
        // The panel's Escape stops the turn; this one is for the dialog.
        event.stopPropagation();
        if (event.key === 'Escape') {
          event.preventDefault();
          close();
        }
      }}
      onClick={event => {
        if (event.target === event.currentTarget) {
          close();
        }
      }}>
      <div class="al-dialog-body">
        <h3 id={id}>{title}</h3>
        {children}
        <div class="al-buttons">
          {buttons ?? <button type="button" class="al-button" onClick={close}>{t('Close')}</button>}
        </div>
      </div>
    </dialog>
  );
}

/** While something is open in the panel, its Escape closes that, wherever the focus is, and stops no turn. */
export function useEscape(at: { readonly current: Element | null }, open: boolean, close: () => void): void {
  // With the drawing that opens it: a key may follow at once.
  useLayoutEffect(() => {
    const gone = new AbortController();
    const panel = open ? at.current?.closest<HTMLElement>('.al') : null;
    panel?.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        event.preventDefault();
        close();
      }
    }, { capture: true, signal: gone.signal });
    return () => gone.abort();
  }, [open]);
}

interface PopoverProps {
  readonly label: string;
  readonly children: ComponentChildren;
  /** The button it belongs to: a press there is that button's own affair, and the focus goes back to it. */
  readonly opener: { readonly current: HTMLElement | null };
  close(): void;
}

/** Beside what it explains; a press elsewhere, or Escape, closes it. */
export function Popover({ label, children, opener, close }: PopoverProps): JSX.Element {
  const at = useRef<HTMLDivElement>(null);
  const leave = (): void => {
    close();
    opener.current?.focus();
  };
  useEscape(at, true, leave);
  useEffect(() => {
    at.current?.focus();
    const gone = new AbortController();
    document.addEventListener('pointerdown', event => {
      // Inside a shadow tree the event's target is its host; the path tells what was pressed.
      const path = event.composedPath();
      if (at.current && !path.includes(at.current) && !(opener.current && path.includes(opener.current))) {
        close();
      }
    }, { signal: gone.signal });
    return () => gone.abort();
  }, []);
  return (
    <div class="al-popover" role="dialog" aria-label={label} tabIndex={-1} ref={at}>
      <button type="button" class="al-button al-quiet al-square al-popover-close" aria-label={t('Close')} onClick={leave}><Icon name="cross" /></button>
      {children}
    </div>
  );
}
