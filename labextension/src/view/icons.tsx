/** The panel's icons: 16 px, one 1.3 px stroke in the text's colour. State is told by shape. */

import type { JSX } from 'preact';

const PATHS = {
  chevronRight: 'M6 4l4 4-4 4',
  chevronDown: 'M4 6l4 4 4-4',
  check: 'M3 8.5l3.3 3.3L13 4.5',
  cross: 'M4 4l8 8M12 4l-8 8',
  failed: 'M8 2a6 6 0 100 12A6 6 0 008 2zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4',
  enter: 'M13 3.5V8a1.5 1.5 0 01-1.5 1.5h-8M6.3 6.6L3.4 9.5l2.9 2.9',
  edit: 'M2.8 13.2l.7-2.9 7.1-7.1 2.2 2.2-7.1 7.1z',
  shell: 'M2.5 2.5h11a1 1 0 011 1v9a1 1 0 01-1 1h-11a1 1 0 01-1-1v-9a1 1 0 011-1zM4.5 6l2 2-2 2M8.5 10.3h3',
  read: 'M3.5 1.5h5.5l3.5 3.5v9.5h-9zM9 1.7V5h3.3M6 8h4.2M6 10.8h4.2',
  search: 'M7 2.8a4.2 4.2 0 100 8.4 4.2 4.2 0 000-8.4zM10.1 10.1l3.6 3.6',
  variables: 'M6 2.5C3.5 2.5 5 7.2 2.7 8 5 8.8 3.5 13.5 6 13.5M10 2.5c2.5 0 1 4.7 3.3 5.5-2.3.8-.8 5.5-3.3 5.5',
  think: 'M2.5 4.5h11M2.5 8h8M2.5 11.5h4.5',
  todo: 'M2 4.3l1.1 1.1 2-2.3M8 4.3h6M2 8.7l1.1 1.1 2-2.3M8 8.7h6M2.5 12.9h2M8 12.9h6',
  question: 'M8 2a6 6 0 100 12A6 6 0 008 2zM6.2 6.5c0-2.4 3.6-2.3 3.6 0 0 1.3-1.8 1.4-1.8 2.7M8 11.4v.1',
  shield: 'M8 1.8l5 1.8v4c0 3.2-2 5.3-5 6.6-3-1.3-5-3.4-5-6.6v-4zM8 5.2v3M8 10.6v.1',
  warning: 'M8 2.3l6.2 11.2H1.8zM8 6.6v3M8 11.5v.1',
  info: 'M8 2a6 6 0 100 12A6 6 0 008 2zM8 7.4v3.7M8 5v.1',
  image: 'M2.5 3h11a.5.5 0 01.5.5v9a.5.5 0 01-.5.5h-11a.5.5 0 01-.5-.5v-9a.5.5 0 01.5-.5zM2.3 11.6l3.4-3.7 2.8 2.9 1.9-1.9 3.3 3.2',
  clock: 'M8 2a6 6 0 100 12A6 6 0 008 2zM8 4.8V8l2.2 1.6',
  branch: 'M4.5 1.9a1.6 1.6 0 100 3.2 1.6 1.6 0 000-3.2zM4.5 10.9a1.6 1.6 0 100 3.2 1.6 1.6 0 000-3.2zM11.5 3.9a1.6 1.6 0 100 3.2 1.6 1.6 0 000-3.2zM4.5 5.1v5.8M11.5 7.1c0 2.4-3.5 2-5.7 3.9',
  copy: 'M6 5.5h7a.5.5 0 01.5.5v7a.5.5 0 01-.5.5H6a.5.5 0 01-.5-.5V6a.5.5 0 01.5-.5zM10.5 3.5V3a.5.5 0 00-.5-.5H3a.5.5 0 00-.5.5v7a.5.5 0 00.5.5h.5',
  run: 'M5 2.5H2.5v11H5M11 2.5h2.5v11H11M6.6 5.5l3.9 2.5-3.9 2.5z',
  back: 'M6 3.5L2.8 6.7 6 9.9M3 6.7h6.5c2 0 3.5 1.3 3.5 3.2V13',
  plug: 'M5.5 2v3.5M10.5 2v3.5M3.5 5.5h9v2a4.5 4.5 0 01-9 0zM8 12v2.5',
  key: 'M5 5a3 3 0 100 6 3 3 0 000-6zM8 8h6.5v2.5M11.5 8v2',
  globe: 'M8 2a6 6 0 100 12A6 6 0 008 2zM2.2 8h11.6M8 2c2 1.7 2.7 3.7 2.7 6S10 12.3 8 14c-2-1.7-2.7-3.7-2.7-6S6 3.7 8 2z',
  lock: 'M4.5 7h7a1 1 0 011 1v4.5a1 1 0 01-1 1h-7a1 1 0 01-1-1V8a1 1 0 011-1zM5.5 7V4.8a2.5 2.5 0 015 0V7',
  trash: 'M3 4.5h10M6 4.3V2.8h4v1.5M4.3 4.5l.6 9h6.2l.6-9',
  plus: 'M8 3v10M3 8h10',
  list: 'M2.5 4h.1M2.5 8h.1M2.5 12h.1M5.5 4h8M5.5 8h8M5.5 12h8',
  clip: 'M12.5 7.5l-5 5a2.8 2.8 0 01-4-4L9 3a1.9 1.9 0 012.7 2.7L6.5 11',
  review: 'M1.5 8C3.1 5.3 5.3 4 8 4s4.9 1.3 6.5 4c-1.6 2.7-3.8 4-6.5 4S3.1 10.7 1.5 8zM8 6.1a1.9 1.9 0 100 3.8 1.9 1.9 0 000-3.8z',
  gear: 'M8 5.6a2.4 2.4 0 100 4.8 2.4 2.4 0 000-4.8zM8 1.7v2.2M8 12.1v2.2M1.7 8h2.2M12.1 8h2.2M3.5 3.5l1.6 1.6M10.9 10.9l1.6 1.6M12.5 3.5l-1.6 1.6M5.1 10.9l-1.6 1.6',
  down: 'M8 3v9.5M4.5 9L8 12.5 11.5 9',
  cell: 'M2.5 3.5h11v9h-11zM4.8 6.5l1.7 1.5-1.7 1.5M8.5 9.8h2.7',
  cellBelow: 'M2.5 2.5h11v5h-11zM8 9.5v5M5.5 12h5',
  cellReplace: 'M2.5 9h11v4.5h-11zM13 6.5C12.5 4 10.5 2.5 8 2.5c-1.8 0-3.3.8-4.2 2.2M3.5 2.5V5H6',
  comment: 'M2.5 3h11v8h-6l-3 2.5V11h-2z',
  folder: 'M2 4.5a1 1 0 011-1h3.2l1.5 1.5H13a1 1 0 011 1V12a1 1 0 01-1 1H3a1 1 0 01-1-1z',
  mic: 'M8 2a2 2 0 00-2 2v4a2 2 0 004 0V4a2 2 0 00-2-2zM3.8 7.5a4.2 4.2 0 008.4 0M8 11.8V14M5.8 14h4.4',
  arc: 'M8 3a5 5 0 11-5 5',
  ring: 'M8 4a4 4 0 100 8 4 4 0 000-8z',
  dash: 'M4.5 8h7',
  bigCross: 'M4.5 4.5l7 7M11.5 4.5l-7 7'
} as const;

/** Shapes that are filled instead of drawn. */
const FILLED = {
  stop: 'M5 4h6a1 1 0 011 1v6a1 1 0 01-1 1H5a1 1 0 01-1-1V5a1 1 0 011-1z',
  diamond: 'M8 1.8L14.2 8 8 14.2 1.8 8z',
  disc: 'M8 3.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9z',
  more: 'M3.5 6.5a1.5 1.5 0 100 3 1.5 1.5 0 000-3zM8 6.5a1.5 1.5 0 100 3 1.5 1.5 0 000-3zM12.5 6.5a1.5 1.5 0 100 3 1.5 1.5 0 000-3z'
} as const;

export type IconName = keyof typeof PATHS | keyof typeof FILLED;

interface IconProps {
  readonly name: IconName;
  readonly class?: string;
}

export function Icon({ name, class: more = '' }: IconProps): JSX.Element {
  const filled = name in FILLED;
  const path = filled ? FILLED[name as keyof typeof FILLED] : PATHS[name as keyof typeof PATHS];
  return (
    <svg class={`al-icon ${filled ? 'al-filled' : ''} ${more}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
