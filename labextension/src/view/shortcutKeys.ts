/** Keys that mean nothing to the panel go on to the page around it, as if they had been pressed there. */

/** Keys that write, move or choose in a field, whatever is held with them. */
const FIELDS_OWN = new Set([
  'a', 'c', 'v', 'x', 'y', 'z', 'enter', 'escape', ' ', 'backspace', 'delete', 'insert', 'home', 'end',
  'arrowup', 'arrowdown', 'arrowleft', 'arrowright', 'pageup', 'pagedown'
]);
/** These and their like take, cut and undo; with Shift as well they are other commands. */
const OTHER_WITH_SHIFT = new Set(['a', 'c', 'x', 'y']);
const HELD = new Set(['control', 'meta', 'shift', 'alt', 'altgraph', 'dead', 'process', 'unidentified']);

type Pressed = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey' | 'isComposing'>;

/** Whether a page's shortcut may be meant. Pure. `mac`: Control is for the field's own commands there. */
export function isForPage(event: Pressed, mac: boolean): boolean {
  const key = event.key.toLowerCase();
  // Control and Alt together are how some keyboards write `@` and `{`.
  if (event.isComposing || HELD.has(key) || event.altKey || !(event.metaKey || event.ctrlKey)) {
    return false;
  }
  if (mac && !event.metaKey && !event.shiftKey && key !== 'tab') {
    return false;
  }
  return !FIELDS_OWN.has(key) || (event.shiftKey && OTHER_WITH_SHIFT.has(key));
}

const isMac = (): boolean => /mac|iphone|ipad/i.test(navigator.platform);

/**
 * The page hears of the key on its body and not from within the panel: there it would take the panel for
 * what it sits in, a notebook's cell for one. What the page does with it is then not done by the browser.
 */
export function passOn(event: KeyboardEvent): void {
  const { body } = document;
  if (event.defaultPrevented || !isForPage(event, isMac())) {
    return;
  }
  const { key, code, keyCode, location, repeat, ctrlKey, metaKey, shiftKey, altKey } = event;
  const again = new KeyboardEvent('keydown', {
    bubbles: true, cancelable: true, composed: true,
    key, code, keyCode, location, repeat, ctrlKey, metaKey, shiftKey, altKey
  });
  if (!body.dispatchEvent(again)) {
    event.preventDefault();
  }
}
