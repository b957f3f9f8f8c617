/** What a person has begun to answer, by the request or the queued message it is for; it outlives a reload. */

import { useState } from 'preact/hooks';
import { useChat } from './context.js';

type Parts = Readonly<Record<string, unknown>>;

const PREFIX = 'agent-lab:answer:';

/** Kept by the tab, so that two of them do not write into each other's forms. */
export class AnswerDrafts {
  private readonly known = new Map<string, Parts>();
  private readonly prefix: string;

  constructor(sessionId: string) {
    this.prefix = `${PREFIX}${sessionId}:`;
    try {
      for (const key of Object.keys(sessionStorage).filter(each => each.startsWith(this.prefix))) {
        const parts: unknown = JSON.parse(sessionStorage.getItem(key) ?? 'null');
        if (typeof parts === 'object' && parts !== null) {
          this.known.set(key.slice(this.prefix.length), parts as Parts);
        }
      }
    } catch {
      // No storage: what is begun lives as long as the page.
    }
  }

  get(id: string): Parts | undefined {
    return this.known.get(id);
  }

  /** Undefined is no answer. */
  set(id: string, name: string, value: unknown): void {
    const parts = Object.fromEntries(
      Object.entries({ ...this.known.get(id), [name]: value }).filter(([, each]) => each !== undefined));
    if (Object.keys(parts).length) {
      this.known.set(id, parts);
      this.store(id, JSON.stringify(parts));
    } else {
      this.drop(id);
    }
  }

  /** It was answered, here or elsewhere. */
  drop(id: string): void {
    if (this.known.delete(id)) {
      this.store(id, undefined);
    }
  }

  /** Those that have a part of that name. */
  having(name: string): readonly string[] {
    return [...this.known].filter(([, parts]) => name in parts).map(([id]) => id);
  }

  private store(id: string, value: string | undefined): void {
    try {
      if (value === undefined) {
        sessionStorage.removeItem(this.prefix + id);
      } else {
        sessionStorage.setItem(this.prefix + id, value);
      }
    } catch {
      // As above, or it is full.
    }
  }
}

/** Like `useState` for a part of an answer to `id`. */
export function useAnswerDraft<T>(id: string, name: string, first: T): [T, (value: T) => void] {
  const { answers } = useChat();
  const [value, set] = useState<T>(() => {
    const kept = answers.get(id)?.[name];
    return kept === undefined ? first : (kept as T);
  });
  return [
    value,
    next => {
      answers.set(id, name, next);
      set(next);
    }
  ];
}
