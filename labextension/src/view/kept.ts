/** State of a part that may be taken off the page and come back: what a person opened stays open. */

import { useState } from 'preact/hooks';
import { useChat } from './context.js';

/** Like `useState`; `name` is the part's own in its panel. */
export function useKept<T extends boolean | number | string | undefined>(
  name: string, first: T
): [T, (value: T) => void] {
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
