/** One clock for all times that run: they count together, and rest while nobody can see them. */

import { useEffect, useState } from 'preact/hooks';

const watching = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let ticked = 0;

/** The time to count from. While something counts it is that of the last tick, so that two places agree. */
export function now(): number {
  return timer === undefined ? Date.now() : ticked;
}

function tick(): void {
  if (!document.hidden) {
    ticked = Date.now();
    watching.forEach(draw => draw());
  }
}

/** Draw a component again each second while it shows a time that runs. */
export function useTicking(on: boolean): void {
  const [, again] = useState(0);
  useEffect(() => {
    if (!on) {
      return undefined;
    }
    const draw = (): void => again(n => n + 1);
    watching.add(draw);
    if (timer === undefined) {
      ticked = Date.now();
      timer = setInterval(tick, 1000);
    }
    return () => {
      watching.delete(draw);
      if (watching.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    };
  }, [on]);
}
