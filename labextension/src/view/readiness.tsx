/** What a first turn needs, and what mends what is missing. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';
import { request } from './request.js';
import type { Requester } from './request.js';
import { Words } from './text.js';

export type Mend =
  | { readonly command: string }
  | { readonly action: 'trust' | 'start_kernel' }
  | { readonly action: 'sign_in'; readonly command: string };

/** `ok` null: it cannot be told from here, or does not matter. */
export interface Check {
  readonly id: 'agent' | 'version' | 'signed_in' | 'trust' | 'kernel';
  readonly ok: boolean | null;
  readonly text: string;
  readonly mend: Mend | null;
}

interface Able extends Requester {
  openTerminal?(command: string): void;
  startKernel?(): Promise<void>;
}

interface ReadinessProps {
  readonly host: Able;
  /** A folder relative to the server's root. */
  readonly path: string;
  readonly notebook?: string | undefined;
  readonly kernel?: string | undefined;
  /** Show what is well too, as at the first run; else the card is there only when something is not. */
  readonly all?: boolean;
  /** The folder was decided about: its session's agent has to start anew. */
  trusted?(): void;
}

const ICONS: Readonly<Record<Check['id'], IconName>> = {
  agent: 'plug', version: 'info', signed_in: 'key', trust: 'lock', kernel: 'cell'
};

const AGENT = new Set<Check['id']>(['agent', 'version', 'signed_in']);

export function Readiness({ host, path, notebook, kernel, all, trusted }: ReadinessProps): JSX.Element | null {
  const [checks, set] = useState<readonly Check[] | null>(null);
  const [asked, ask] = useState(0);
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let over = false;
    const query = new URLSearchParams({ path });
    if (notebook) {
      query.set('notebook', notebook);
    }
    if (kernel) {
      query.set('kernel_id', kernel);
    }
    // To look for a program takes a program: only where one was not as it should be.
    if (asked && checks?.some(check => check.ok === false && AGENT.has(check.id))) {
      query.set('fresh', '1');
    }
    setBusy(true);
    request(host, 'GET', `readiness?${query.toString()}`).then(
      found => {
        if (!over) {
          set((found as { checks: readonly Check[] }).checks);
          setTrouble('');
        }
      },
      (error: unknown) => {
        // An older server has no such route: then there is nothing to say.
        if (!over && asked) {
          setTrouble(error instanceof Error ? error.message : '');
        }
      }
    ).finally(() => {
      if (!over) {
        setBusy(false);
      }
    });
    return () => {
      over = true;
    };
  }, [path, notebook, kernel, asked]);
  // Whoever signs in or installs something does it elsewhere and comes back.
  useEffect(() => {
    const stop = new AbortController();
    window.addEventListener('focus', () => ask(n => n + 1), { signal: stop.signal });
    return () => stop.abort();
  }, []);
  const missing = checks?.some(check => check.ok === false) ?? false;

  if (!checks || (!missing && !all)) {
    return null;
  }
  const again = (): void => ask(n => n + 1);
  const act = (work: Promise<unknown>): void => {
    setBusy(true);
    work.then(again, (error: unknown) => {
      setBusy(false);
      setTrouble(error instanceof Error ? error.message : String(error));
    });
  };
  const mend = (check: Check): JSX.Element | null => {
    const how = check.mend;
    if (!how || check.ok === true) {
      return null;
    }
    if (!('action' in how)) {
      return <Command host={host} command={how.command} />;
    }
    switch (how.action) {
      case 'sign_in':
        return <Command host={host} command={how.command} label={t('Sign in')} />;
      case 'trust':
        return (
          <button type="button" class="al-button" disabled={busy} onClick={() =>
            act(request(host, 'POST', 'trust', { path, trust: true }).then(() => trusted?.()))}>
            {t('Trust')}
          </button>
        );
      case 'start_kernel': {
        const { startKernel } = host;
        return startKernel ? (
          <button type="button" class="al-button" disabled={busy} onClick={() => act(startKernel.call(host))}>
            {t('Start the kernel')}
          </button>
        ) : null;
      }
    }
  };
  return (
    <section class="al-ready" aria-label={t('Readiness')}>
      <h3>{missing ? t('Almost ready') : t('Ready')}</h3>
      <ul>
        {checks.map(check => (
          <li class={check.ok === false ? 'al-ready-no' : check.ok === null ? 'al-ready-unknown' : ''} data-check={check.id}>
            <Icon name={check.ok ? 'check' : check.ok === null ? 'question' : ICONS[check.id]} />
            <span class="al-grow">
              <span class="al-unseen">
                {check.ok ? t('Fine:') : check.ok === null ? t('Not known:') : t('To do:')}{' '}
              </span>
              <Words text={check.text} />
            </span>
            {mend(check)}
          </li>
        ))}
      </ul>
      {trouble && <p class="al-error" role="alert">{trouble}</p>}
      {missing && (
        <button type="button" class="al-link" disabled={busy} onClick={again}>{t('Check again')}</button>
      )}
    </section>
  );
}

/** A command to be typed in the terminal beside, or, where there is none, to be copied. */
function Command(
  { host, command, label }: { host: Able; command: string; label?: string }
): JSX.Element {
  const [copied, set] = useState(false);
  const { openTerminal } = host;
  return (
    <span class="al-ready-command">
      <code tabIndex={0}>{command}</code>
      {openTerminal
        ? (
          <button type="button" class={`al-button ${label ? 'al-primary' : ''}`} onClick={() => openTerminal.call(host, command)}>
            {label ?? t('Open in the terminal')}
          </button>
        )
        : navigator.clipboard && (
          <button type="button" class="al-button" onClick={() =>
            void navigator.clipboard.writeText(command).then(() => set(true), () => undefined)}>
            {copied ? t('Copied') : t('Copy')}
          </button>
        )}
    </span>
  );
}
