/** A card that says what is wrong, with the buttons that mend it; shown while there is no chat to show. */

export interface CardAction {
  readonly label: string;
  readonly run: () => void;
  /** The one filled button of a decision. */
  readonly filled?: boolean;
}

export interface CardContent {
  readonly tone: 'plain' | 'warn' | 'error';
  readonly heading: string;
  readonly text: string;
  readonly items?: readonly { readonly name: string; readonly note: string }[];
  readonly actions?: readonly CardAction[];
}

export function button(label: string, run: () => void): HTMLButtonElement {
  const node = document.createElement('button');
  node.type = 'button';
  node.className = 'al-Button';
  node.textContent = label;
  node.addEventListener('click', run);
  return node;
}

function element(tag: 'h2' | 'p' | 'code' | 'span', text: string): HTMLElement {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

export function createCard(content: CardContent): HTMLElement {
  const card = document.createElement('div');
  card.className = `al-Card al-mod-${content.tone}`;
  card.setAttribute('role', content.tone === 'plain' ? 'status' : 'alert');
  card.append(element('h2', content.heading), element('p', content.text));
  if (content.items?.length) {
    const list = document.createElement('ul');
    for (const { name, note } of content.items) {
      const item = document.createElement('li');
      item.append(element('code', name));
      if (note) {
        item.append(element('span', ` · ${note}`));
      }
      list.append(item);
    }
    card.append(list);
  }
  if (content.actions?.length) {
    const actions = document.createElement('div');
    actions.className = 'al-Card-actions';
    for (const action of content.actions) {
      const node = button(action.label, action.run);
      node.classList.toggle('al-mod-filled', action.filled === true);
      actions.append(node);
    }
    card.append(actions);
  }
  return card;
}
