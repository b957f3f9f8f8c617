/** Where a link or an image of the agent may lead. Pure: nothing but these answers reaches the page. */

export type Target =
  | { readonly kind: 'web'; readonly href: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number | undefined }
  | { readonly kind: 'none' };

// eslint-disable-next-line no-control-regex -- URL parsers drop these, so they must not hide a scheme
const IGNORED = /[\u0000-\u0020\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** http, https and mailto open; a path is a file for the host; all else leads nowhere. */
export function linkTarget(href: string): Target {
  const clean = href.replace(IGNORED, '');
  if (/^https?:\/\/[^/]/i.test(clean) || /^mailto:[^?]/i.test(clean)) {
    try {
      return { kind: 'web', href: new URL(clean).href };
    } catch {
      return { kind: 'none' };
    }
  }
  const file = /^(?!\/\/|[\\#?])((?:\.{0,2}\/)?[^:?#\\]+?)(?:(?::|#L)(\d+)(?:[-:]L?\d+)?)?$/.exec(
    safeDecode(clean)
  );
  return file?.[1]
    ? { kind: 'file', path: file[1], line: file[2] === undefined ? undefined : Number(file[2]) }
    : { kind: 'none' };
}

export type ImageSource =
  | { readonly kind: 'inline'; readonly src: string }
  | { readonly kind: 'remote'; readonly src: string; readonly host: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'none' };

/**
 * A picture inside the text shows at once. One elsewhere is not asked for until a person does: the
 * address of an image can carry away what the agent has read.
 */
export function imageSource(src: string): ImageSource {
  const clean = src.replace(IGNORED, '');
  if (/^data:image\/(?:png|jpe?g|gif|webp|bmp|avif);base64,[\w+/=]+$/i.test(clean)) {
    return { kind: 'inline', src: clean };
  }
  if (/^data:/i.test(clean)) {
    return { kind: 'none' };
  }
  const target = linkTarget(clean);
  if (target.kind === 'web' && !target.href.startsWith('mailto:')) {
    return { kind: 'remote', src: target.href, host: new URL(target.href).host };
  }
  return target.kind === 'file' ? { kind: 'file', path: target.path } : { kind: 'none' };
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
