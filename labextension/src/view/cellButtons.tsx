/** The buttons of a code block that put it into a notebook: there while one is open, also below old answers. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useBriefly } from './briefly.js';
import { useChat } from './context.js';
import type { CellPlace } from './host.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import type { IconName } from './icons.js';

export function CellButtons({ code }: { code: string }): JSX.Element | null {
  const { cells } = useChat().host;
  const [, again] = useState(0);
  useEffect(() => cells?.watch(() => again(n => n + 1)), [cells]);
  const place = cells?.now();
  if (!cells || !place) {
    return null;
  }
  // Asked anew at the press: the notebook may be gone since the button was drawn.
  const act = (put: (place: CellPlace) => void) => (): boolean => {
    const now = cells.now();
    if (now) {
      put(now);
    }
    return now !== undefined;
  };
  return (
    <>
      <CellButton icon="cellBelow" label={t('Insert as cell below')} refused={place.notInsert} act={act(now => now.insert(code))} />
      <CellButton icon="cellReplace" label={t('Replace cell')} refused={place.notReplace} act={act(now => now.replace(code))} />
    </>
  );
}

interface CellButtonProps {
  readonly icon: IconName;
  readonly label: string;
  /** Why it cannot be done now; "": it can. */
  readonly refused: string;
  /** False: it was not done. */
  act(): boolean;
}

/** Says that it was done, since what it did may be out of sight. */
function CellButton({ icon, label, refused, act }: CellButtonProps): JSX.Element {
  const [done, set] = useBriefly();
  return (
    <button type="button" class="al-button al-quiet al-square" aria-label={done ? t('Done') : label}
      // Not disabled altogether: then neither pointer nor focus would come to the reason.
      {...(refused ? { 'aria-disabled': true, 'aria-description': refused } : {})}
      title={done ? t('Done') : refused ? `${label}: ${refused}` : label}
      onClick={() => set(!refused && act())}>
      <Icon name={done ? 'check' : icon} />
    </button>
  );
}
