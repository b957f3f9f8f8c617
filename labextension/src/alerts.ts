/** The browser's own notifications: off until a person turns them on with a click. */

import type { Switch } from './view/host.js';
import type { Alerts } from './view/sessionsHost.js';

const WANTED = 'agent-lab:alerts';

export interface BrowserAlert {
  /** The same in every tab, so that a browser shows one. */
  readonly key: string;
  readonly title: string;
  readonly body: string;
  readonly icon: string;
  /** Where the session is, for a browser in which the page is gone by then. */
  readonly url: string;
  /** What can be answered without looking; shown where the browser can. */
  readonly answers: readonly Answer[];
  click(): void;
}

export interface Answer {
  readonly id: string;
  readonly label: string;
  give(): void;
}

/** Plain HTTP from another machine has none. */
const there = (): boolean => 'Notification' in window && window.isSecureContext;

export class BrowserAlerts implements Alerts {
  private readonly shown = new Map<string, BrowserAlert>();
  private readonly notes = new Map<string, Notification>();
  private readonly listeners = new Set<() => void>();

  /** `wanted`: where it is kept whether a person wants them; else this browser keeps it. */
  constructor(
    /** `{base_url}agent-lab/`: the service worker's place and scope, which is no other's. */
    private readonly place: string,
    private readonly wanted: Switch = new Stored()
  ) {
    wanted.onChange(() => this.listeners.forEach(each => each()));
  }

  state(): 'on' | 'off' | 'blocked' {
    return !there() || Notification.permission === 'denied' ? 'blocked'
      : Notification.permission === 'granted' && this.wanted.on ? 'on' : 'off';
  }

  async toggle(): Promise<void> {
    const on = this.state() === 'on';
    if (!on && there() && Notification.permission !== 'granted') {
      await Notification.requestPermission();
    }
    this.wanted.turn(!on && there() && Notification.permission === 'granted');
    this.listeners.forEach(each => each());
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  show(alert: BrowserAlert): void {
    if (this.state() !== 'on') {
      return;
    }
    this.shown.set(alert.key, alert);
    void this.worker().then(worker => {
      if (this.shown.get(alert.key) !== alert) {
        return; // taken back meanwhile
      }
      if (worker) {
        const { body, icon, key, url } = alert;
        const actions = alert.answers.map(({ id, label }) => ({ action: id, title: label }));
        const options = { body, icon, actions, tag: tagOf(key), data: { key, url } };
        worker.showNotification(alert.title, options).catch(() => this.showPlain(alert));
      } else {
        this.showPlain(alert);
      }
    });
  }

  takeBack(key: string): void {
    this.notes.get(key)?.close();
    this.notes.delete(key);
    if (this.shown.delete(key)) {
      void this.worker()
        .then(worker => worker?.getNotifications({ tag: tagOf(key) }))
        .then(notes => notes?.forEach(note => note.close()), () => undefined);
    }
  }

  /** Without buttons, by the page itself. */
  private showPlain(alert: BrowserAlert): void {
    let note: Notification;
    try {
      note = new Notification(alert.title, { body: alert.body, tag: tagOf(alert.key), icon: alert.icon });
    } catch {
      return; // a phone's browser gives them to service workers only
    }
    this.notes.set(alert.key, note);
    note.addEventListener('click', () => {
      window.focus();
      note.close();
      alert.click();
    });
    note.addEventListener('close', () => this.notes.delete(alert.key));
  }

  /** Registered when the first notification is shown; null where there is none. */
  private worker(): Promise<ServiceWorkerRegistration | null> {
    this.registered ??= this.register().catch(() => null);
    return this.registered;
  }

  private async register(): Promise<ServiceWorkerRegistration | null> {
    const { serviceWorker } = navigator as { serviceWorker?: ServiceWorkerContainer };
    if (!serviceWorker) {
      return null;
    }
    const registration = await serviceWorker.register(`${this.place}answers.js`, { scope: this.place });
    serviceWorker.addEventListener('message', message => this.pressed(message));
    serviceWorker.startMessages();
    await active(registration);
    return registration;
  }

  /** Only what this page has shown and not taken back is answered, and only as it was offered. */
  private pressed(message: MessageEvent): void {
    const { type, key, action } = (message.data ?? {}) as { type?: unknown; key?: unknown; action?: unknown };
    const alert = type === 'agent-lab:answer' ? this.shown.get(String(key)) : undefined;
    if (!alert) {
      return;
    }
    message.ports[0]?.postMessage('taken');
    this.shown.delete(alert.key);
    const answer = alert.answers.find(({ id }) => id === action);
    if (answer) {
      answer.give();
    } else {
      window.focus();
      alert.click();
    }
  }

  private registered: Promise<ServiceWorkerRegistration | null> | undefined;
}

const tagOf = (key: string): string => `agent-lab:${key}`;

/** `navigator.serviceWorker.ready` waits for one whose scope holds this page, which ours need not. */
function active(registration: ServiceWorkerRegistration): Promise<void> {
  const worker = registration.active ?? registration.waiting ?? registration.installing;
  return new Promise((done, fail) => {
    const look = (): void => {
      if (worker?.state === 'activated') {
        done();
      } else if (!worker || worker.state === 'redundant') {
        fail(new Error('The service worker was not installed.'));
      }
    };
    worker?.addEventListener('statechange', look);
    look();
  });
}

class Stored implements Switch {
  get on(): boolean {
    try {
      return localStorage.getItem(WANTED) === '1';
    } catch {
      return false;
    }
  }

  turn(on: boolean): void {
    try {
      localStorage.setItem(WANTED, on ? '1' : '0');
    } catch {
      // Nothing is stored in this browser: it stays off.
    }
  }

  onChange(): () => void {
    return () => undefined;
  }
}
