/** Puts the panel's one style sheet where the panel is: the page, or the shadow tree it sits in. */

import cellChange from './cellChange.css';
import composer from './composer.css';
import conversation from './conversation.css';
import details from './details.css';
import dial from './dial.css';
import sessions from './sessions.css';
import css from './styles.css';

const users = new WeakMap<ParentNode, { sheet: HTMLStyleElement; count: number }>();

/** Returns what takes it away again with the last panel. */
export function install(root: HTMLElement): () => void {
  const top = root.getRootNode();
  const home: ParentNode & Node = top instanceof ShadowRoot ? top : document.head;
  let used = users.get(home);
  if (!used) {
    const sheet = document.createElement('style');
    sheet.dataset['agentLab'] = '';
    sheet.textContent = css + conversation + details + composer + sessions + dial + cellChange;
    home.append(sheet);
    used = { sheet, count: 0 };
    users.set(home, used);
  }
  const mine = used;
  mine.count += 1;
  return () => {
    mine.count -= 1;
    if (mine.count === 0) {
      mine.sheet.remove();
      users.delete(home);
    }
  };
}
