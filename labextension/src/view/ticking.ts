/** Draw a component again each second while it shows a time that runs. */

import { useEffect, useState } from 'preact/hooks';

export function useTicking(on: boolean): void {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!on) {
      return undefined;
    }
    const timer = setInterval(() => tick(n => n + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
}
