/** Our mark, wherever JupyterLab shows an icon: a terminal's prompt inside a speech outline. */
import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, shapes: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16" fill="none"' +
    ` stroke="currentColor" stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round">${shapes}</svg>`;
  return new LabIcon({ name: `agent-lab:${name}`, svgstr });
}

const FRAME = '<rect x="2" y="3" width="12" height="10" rx="1"/>';

export const agentIcon = icon(
  'agent',
  '<path d="M2.5 3h11v8.5H8L5 14v-2.5H2.5z"/><path d="m5.2 5.6 1.8 1.7-1.8 1.7M8.8 9h2"/>'
);
export const stackIcon = icon('stack', `${FRAME}<path d="M2 8h12"/>`);
export const besideIcon = icon('beside', `${FRAME}<path d="M8 3v10"/>`);
export const collapseLeftIcon = icon('collapse-left', `${FRAME}<path d="M6 3v10m5-7L9 8l2 2"/>`);
export const collapseRightIcon = icon('collapse-right', `${FRAME}<path d="M10 3v10M5 6l2 2-2 2"/>`);
export const sessionsIcon = icon(
  'sessions',
  '<path d="M2.3 4h.1M2.3 8h.1M2.3 12h.1M5 4h9M5 8h9M5 12h5"/><circle cx="13" cy="12" r="1.4" fill="currentColor"/>'
);
