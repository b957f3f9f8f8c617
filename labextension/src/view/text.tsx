/**
 * Text from outside as it really is: terminal codes taken out, characters that hide or reorder shown.
 * A command that reads one way and runs another is how people are tricked into allowing it.
 */

import type { ComponentChildren } from 'preact';

/** OSC (links, clipboard) and the other string controls, CSI, escapes of two characters, a lone one. */
const ESCAPES =
  // eslint-disable-next-line no-control-regex -- these are the characters it is about
  /(?:\u001b\]|\u009d)[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)?|(?:\u001b[PX^_]|[\u0090\u0098\u009e\u009f])[^\u001b\u009c]*(?:\u001b\\|\u009c)?|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|\u001b[ -/]*[0-~]?/g;

/** What a terminal would have left standing: no codes, and of an overwritten line the last text. */
export function plain(output: string): string {
  const text = output.replace(ESCAPES, '');
  return text.includes('\r') ? text.replace(/\r+\n/g, '\n').replace(/[^\n]*\r(?=[^\n])/g, '') : text;
}

// eslint-disable-next-line no-control-regex -- these are the characters it is about
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
const CONTROL = new RegExp(CONTROLS.source);

/** The text holds a terminal's codes or other characters that do something instead of being read. */
export const hasCodes = (text: string): boolean => CONTROL.test(text);

/** Words as words: without terminal codes and control characters. */
export const words = (text: string): string => text.replace(ESCAPES, '').replace(CONTROLS, '');

/** Control, bidi, zero-width, tag and other invisible characters; a joiner inside an emoji is none. */
const HIDDEN =
  // eslint-disable-next-line no-control-regex -- these are the characters it is about
  /(?<!\p{Extended_Pictographic}\ufe0f?)\u200d|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const HIDDEN_ONCE = new RegExp(HIDDEN.source, 'u');

export const hides = (text: string): boolean => HIDDEN_ONCE.test(text);

export const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

/** The text with each hidden character as a small badge. */
export function Visible({ text }: { text: string }): ComponentChildren {
  if (!hides(text)) {
    return text;
  }
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    parts.push(text.slice(from, match.index), <span class="al-hidden">{codePoint(match[0])}</span>);
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return <>{parts}</>;
}

/** Words of an interface with `code` in backticks, as the agent's options have them. */
export function Words({ text }: { text: string }): ComponentChildren {
  return (
    <>
      {text.split(/`([^`]+)`/).map((part, index) =>
        index % 2 ? <code class="al-inline"><Visible text={part} /></code> : <Visible text={part} />
      )}
    </>
  );
}
