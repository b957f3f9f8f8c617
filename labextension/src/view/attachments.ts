/** A pasted or dropped file as a block of a prompt, judged by its bytes and not by its name. */

import type { ContentBlock, ImageBlock, ResourceBlock } from '../protocol.js';
import { bytes } from './format.js';
import { t, tn } from './i18n.js';

/** A block of a prompt being written. `note`: what was done to it. `pasted`: words that a person pasted. */
export interface Attached {
  readonly block: ImageBlock | ResourceBlock;
  readonly note: string;
  readonly pasted: boolean;
}

const PASTE = 'paste:';
const LARGEST_IMAGE = 5_000_000;
/** Larger ones are refused by the models' API, whatever they weigh. */
const MOST_PIXELS_A_SIDE = 8000;
/** A model sees no more than about this of a side, so less is lost than it seems. */
const SIDES = [2000, 1400, 1000];
/** A browser cannot hold what is much larger, and decoding it would stop the page. */
const LARGEST_SOURCE = 60_000_000;
const LARGEST_TEXT = 200_000;

export const LONG_PASTE = { characters: 2000, lines: 30 };

const SIGNATURES: readonly (readonly [mime: string, test: (head: string) => boolean])[] = [
  ['image/png', head => head.startsWith('\x89PNG\r\n\x1a\n')],
  ['image/jpeg', head => head.startsWith('\xff\xd8\xff')],
  ['image/gif', head => /^GIF8[79]a/.test(head)],
  ['image/webp', head => head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP']
];

/** The type of a picture that agents take. Pure. */
export function imageType(data: Uint8Array): string | undefined {
  const head = String.fromCharCode(...data.subarray(0, 16));
  return SIGNATURES.find(([, test]) => test(head))?.[0];
}

/** Width and height at which the longer side has at most so many pixels. Pure. */
export function fit(width: number, height: number, most: number): readonly [number, number] {
  const scale = Math.min(1, most / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** The words of a file, or undefined where it holds none: not UTF-8, or with zero bytes in it. Pure. */
export function textIn(data: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** So much pasted text would push the words around it out of sight. Pure. */
export function isLong(text: string): boolean {
  return text.length > LONG_PASTE.characters || text.split('\n', LONG_PASTE.lines + 1).length > LONG_PASTE.lines;
}

export function pasted(text: string): Attached {
  const lines = text.replace(/\n$/, '').split('\n').length;
  const name = lines > 1 ? tn('pasted text, {n} line', 'pasted text, {n} lines', lines) : t('pasted text, {size}', { size: bytes(text.length) });
  return { block: { type: 'resource', uri: PASTE, name, mime_type: 'text/plain', text }, note: '', pasted: true };
}

/** What of a prompt that was made stands beside its words. Pure. */
export function attachedOf(content: readonly ContentBlock[]): readonly Attached[] {
  return content.flatMap(block =>
    block.type === 'text' ? [] : [{ block, note: '', pasted: block.type === 'resource' && block.uri === PASTE }]);
}

/** The file as a block, or a sentence that says why not and what to do instead. */
export async function attachment(file: File): Promise<Attached | string> {
  const { name, size } = file;
  const elsewhere = t('Put it into the session’s folder and name it with @: the agent reads it there itself.');
  if (size > LARGEST_SOURCE) {
    return `${t('{name} has {size}, too much to attach.', { name, size: bytes(size) })} ${elsewhere}`;
  }
  let data: Uint8Array<ArrayBuffer>;
  try {
    data = new Uint8Array(await file.arrayBuffer());
  } catch {
    // Browsers give a dropped folder as a file that cannot be read.
    return t('{name} could not be read. A folder is named with @, not attached.', { name });
  }
  const mime = imageType(data);
  if (mime) {
    return picture(name, new Blob([data], { type: mime }));
  }
  const text = textIn(data);
  if (text === undefined) {
    return `${t('{name} is neither text nor a PNG, JPEG, GIF or WebP image.', { name })} ${elsewhere}`;
  }
  if (size > LARGEST_TEXT) {
    return `${t('{name} has {size}; text up to 200 kB can be attached.', { name, size: bytes(size) })} ${elsewhere}`;
  }
  const block: ResourceBlock = {
    type: 'resource', uri: `file:${encodeURIComponent(name)}`, name, mime_type: file.type || 'text/plain', text
  };
  return { block, note: '', pasted: false };
}

async function picture(name: string, blob: Blob): Promise<Attached | string> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return t('{name} is damaged, or too large for this browser to open. Send a smaller copy.', { name });
  }
  const { width, height } = bitmap;
  try {
    if (blob.size <= LARGEST_IMAGE && Math.max(width, height) <= MOST_PIXELS_A_SIDE) {
      return { block: await imageBlock(blob), note: '', pasted: false };
    }
    for (const side of SIDES) {
      const [w, h] = fit(width, height, side);
      // Lines and letters stay sharp as PNG; a photograph as PNG would be many times larger.
      for (const type of blob.type === 'image/png' ? ['image/png', 'image/jpeg'] : ['image/jpeg']) {
        const smaller = await drawn(bitmap, w, h, type);
        if (smaller && smaller.size <= LARGEST_IMAGE) {
          const sizes = { from: `${width} × ${height}`, to: `${w} × ${h}` };
          const note = w < width ? t('scaled down from {from} to {to}', sizes) : t('compressed from {size}', { size: bytes(blob.size) });
          const still = blob.type === 'image/gif' ? `, ${t('first picture only')}` : '';
          return { block: await imageBlock(smaller), note: note + still, pasted: false };
        }
      }
    }
    return t('{name} could not be made smaller than 5 MB. Send a smaller copy.', { name });
  } finally {
    bitmap.close();
  }
}

function drawn(bitmap: ImageBitmap, width: number, height: number, type: string): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  if (!context) {
    return Promise.resolve(null);
  }
  if (type === 'image/jpeg') {
    // It has no transparency: what shines through would be black.
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
  }
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  return new Promise(resolve => canvas.toBlob(resolve, type, 0.9));
}

function imageBlock(blob: Blob): Promise<ImageBlock> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const address = String(reader.result);
      resolve({ type: 'image', mime_type: blob.type, data: address.slice(address.indexOf(',') + 1) });
    };
    reader.onerror = () => reject(reader.error ?? new Error('unreadable'));
    reader.readAsDataURL(blob);
  });
}
