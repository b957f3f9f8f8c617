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
  click(): void;
}

/** Plain HTTP from another machine has none. */
const there = (): boolean => 'Notification' in window && window.isSecureContext;

export class BrowserAlerts implements Alerts {
  private readonly shown = new Map<string, Notification>();
  private readonly listeners = new Set<() => void>();

  /** `wanted`: where it is kept whether a person wants them; else this browser keeps it. */
  constructor(private readonly wanted: Switch = new Stored()) {
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
    let note: Notification;
    try {
      note = new Notification(alert.title, { body: alert.body, tag: `agent-lab:${alert.key}`, icon: alert.icon });
    } catch {
      return; // a phone's browser gives them to service workers only
    }
    this.shown.set(alert.key, note);
    note.addEventListener('click', () => {
      window.focus();
      note.close();
      alert.click();
    });
    note.addEventListener('close', () => this.shown.delete(alert.key));
  }

  takeBack(key: string): void {
    this.shown.get(key)?.close();
    this.shown.delete(key);
  }
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
