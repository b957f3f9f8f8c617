/** The list's door: puts the sessions into an element of any page. */

import { render } from 'preact';
import { speak } from './i18n.js';
import { SessionList } from './sessionList.js';
import { SessionStore } from './sessionStore.js';
import type { SessionsHandle, SessionsHost } from './sessionsHost.js';
import { install } from './style.js';

export type { SessionsHandle, SessionsHost } from './sessionsHost.js';

export function mountSessions(root: HTMLElement, host: SessionsHost): SessionsHandle {
  speak(host);
  root.classList.add('al-root');
  root.setAttribute('data-lm-suppress-shortcuts', 'true');
  const undoStyle = install(root);
  let shown: string | null = null;
  let version = 0;
  let frame = 0;
  const draw = (): void => {
    frame = 0;
    version += 1;
    render(<SessionList host={host} store={store} shown={shown} version={version} />, root);
  };
  const store = new SessionStore(host, () => {
    // A page that is hidden gets no frames, and its list has nobody to be drawn for.
    frame ||= requestAnimationFrame(draw);
  });
  draw();
  return {
    focus: () =>
      (root.querySelector<HTMLElement>('[data-row][tabindex="0"]') ?? root.querySelector('input'))?.focus(),
    select: id => {
      shown = id;
      draw();
    },
    dispose: () => {
      cancelAnimationFrame(frame);
      store.dispose();
      render(null, root);
      undoStyle();
    }
  };
}
