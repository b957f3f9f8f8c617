/** The panel's door: puts one session's conversation into an element of any page. */

import { render } from 'preact';
import { Chat } from './chat.js';
import { App } from './app.js';
import { keepFocus } from './focus.js';
import type { ChatHandle, ChatHost } from './host.js';
import { watchLook } from './look.js';
import { install } from './style.js';
import { keepVoiceIn } from './voice.js';

export type { ChatHandle, ChatHost } from './host.js';

export function mountChat(root: HTMLElement, host: ChatHost): ChatHandle {
  const chat = new Chat(host);
  // Without this mark JupyterLab takes Shift+Enter typed in the panel as "run this cell".
  root.setAttribute('data-lm-suppress-shortcuts', 'true');
  root.classList.add('al-root');
  const undoStyle = install(root);
  const draw = (): void => render(<App chat={chat} version={chat.version} />, root);
  chat.start(draw);
  keepVoiceIn(host.voice);
  const endVoice = host.voice?.onChange(() => chat.touch());
  const endLook = watchLook(root, visible => chat.look(visible));
  const endFocus = keepFocus(root, () => chat.composer.focus());
  return {
    get quiet() {
      return chat.quiet;
    },
    offer: show => chat.offer(show),
    addContext: item => chat.composer.add(item),
    focus: () => chat.composer.focus(),
    showAt: seq => chat.showAt(seq),
    setText: text => chat.composer.setText(text),
    dispose: () => {
      endFocus();
      endLook();
      endVoice?.();
      chat.dispose();
      render(null, root);
      undoStyle();
    }
  };
}
