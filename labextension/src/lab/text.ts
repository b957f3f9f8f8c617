/** Makes text from terminals and tracebacks fit for a prompt. Pure. */

// The escape sequences of ECMA-48 in their 7-bit and 8-bit forms: CSI, OSC and the other strings, then the short ones.
const SEQUENCES =
  // eslint-disable-next-line no-control-regex -- control characters are what this looks for
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]/g;
// eslint-disable-next-line no-control-regex -- as above; tab and new line stay
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text without escape sequences and control characters; lines end in a single new line. */
export function plainText(text: string): string {
  return text
    .replace(SEQUENCES, '')
    .replace(/\r\n?/g, '\n')
    .replace(CONTROLS, '')
    .replace(/[ \t]+$/gm, '');
}

// Bidi, zero-width and other characters that reorder or hide their neighbours; the joiner of emoji stays.
const HIDDEN =
  // eslint-disable-next-line no-control-regex -- as above
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A title for places that can show letters only, such as a tab: nothing in it reads other than it is. */
export function plainTitle(title: string): string {
  return title.replace(HIDDEN, '');
}

export function countLines(text: string): number {
  return text.replace(/\n+$/, '').split('\n').length;
}
