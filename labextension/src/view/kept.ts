/** State of a part that may be taken off the page and come back: what a person opened stays open. */

import { useState } from 'preact/hooks';
import { useChat } from './context.js';

type Value = boolean | number | string | undefined;

/** How many parts of a session are remembered, and of how many sessions. */
const MOST_PARTS = 2_000;
const MOST_SESSIONS = 50;

/** What was opened longest ago is forgotten first. */
export class Kept {
  private readonly values = new Map<string, Value>();

  has(name: string): boolean {
    return this.values.has(name);
  }

  get(name: string): Value {
    return this.values.get(name);
  }

  set(name: string, value: Value): void {
    this.values.delete(name);
    this.values.set(name, value);
    forgetOver(this.values, MOST_PARTS);
  }
}

function forgetOver(map: Map<string, unknown>, most: number): void {
  for (const name of map.keys()) {
    if (map.size <= most) {
      return;
    }
    map.delete(name);
  }
}

const sessions = new Map<string, Kept>();

/** What the panels of a session remember for as long as the page lives, also while none is there. */
export function keptOf(session: string): Kept {
  const kept = sessions.get(session) ?? new Kept();
  sessions.delete(session);
  sessions.set(session, kept);
  forgetOver(sessions, MOST_SESSIONS);
  return kept;
}

/** Like `useState`; `name` is the part's own in its session. */
export function useKept<T extends Value>(name: string, first: T): [T, (value: T) => void] {
  const { kept } = useChat();
  const [value, set] = useState<T>(() => (kept.has(name) ? (kept.get(name) as T) : first));
  return [
    value,
    next => {
      kept.set(name, next);
      set(next);
    }
  ];
}
