/** A state that is true for a moment after it was set. */

import { useEffect, useState } from 'preact/hooks';

const MOMENT = 1500;

export function useBriefly(): [boolean, (on: boolean) => void] {
  const [on, set] = useState(false);
  useEffect(() => {
    const timer = on ? setTimeout(() => set(false), MOMENT) : undefined;
    return () => clearTimeout(timer);
  }, [on]);
  return [on, set];
}
