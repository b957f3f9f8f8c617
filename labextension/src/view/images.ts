/** A pasted or dropped file as an image block, judged by its first bytes and not by its name. */

import type { ImageBlock } from '../protocol.js';
import { bytes } from './format.js';
import { t } from './i18n.js';

const LARGEST = 5_000_000;

const SIGNATURES: readonly (readonly [mime: string, test: (head: string) => boolean])[] = [
  ['image/png', head => head.startsWith('\x89PNG\r\n\x1a\n')],
  ['image/jpeg', head => head.startsWith('\xff\xd8\xff')],
  ['image/gif', head => /^GIF8[79]a/.test(head)],
  ['image/webp', head => head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP']
];

/** The block, or a sentence that says why not. */
export async function imageBlock(file: File): Promise<ImageBlock | string> {
  if (file.size > LARGEST) {
    return t('{name} has {size}; images up to 5 MB can be sent.', { name: file.name, size: bytes(file.size) });
  }
  const data = new Uint8Array(await file.arrayBuffer());
  const head = String.fromCharCode(...data.subarray(0, 16));
  const mime = SIGNATURES.find(([, test]) => test(head))?.[0];
  if (!mime) {
    return t('{name} is not a PNG, JPEG, GIF or WebP image.', { name: file.name });
  }
  let binary = '';
  for (let from = 0; from < data.length; from += 32_768) {
    binary += String.fromCharCode(...data.subarray(from, from + 32_768));
  }
  return { type: 'image', mime_type: mime, data: btoa(binary) };
}
