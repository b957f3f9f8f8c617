/** HTML inside an agent's markdown, as nodes that can do nothing: DOMPurify with a short list. */

import DOMPurify from 'dompurify';
import { imageSource, linkTarget } from './links.js';

const TAGS = (
  'a b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li ' +
  'mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var'
).split(' ');
const ATTRIBUTES = ['href', 'src', 'title', 'alt', 'align', 'colspan', 'rowspan', 'open', 'start', 'dir'];

const KNOWN = new Set(TAGS);

/** `Vec<T>` and `<your-key>` are words: what is no tag of ours stays in sight instead of vanishing. */
const wordsFor = (html: string): string =>
  html.replace(/<(?=\/?([a-z][^\s/>]*))/gi, (sign, name: string) => (KNOWN.has(name.toLowerCase()) ? sign : '&lt;'));

/** Nodes for the page. Images are data only; links lead where `linkTarget` lets them. */
export function sanitise(html: string): DocumentFragment {
  // Where a browser makes a document without a body of it (`<frameset>`), DOMPurify gives null.
  const clean = DOMPurify.sanitize(wordsFor(html), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    // Addresses are judged below, by the same rules as everywhere in the panel.
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/|[^:]*$)/i,
    RETURN_DOM_FRAGMENT: true
  }) as DocumentFragment | null;
  const fragment = clean ?? document.createDocumentFragment();
  for (const image of fragment.querySelectorAll('img')) {
    const source = imageSource(image.getAttribute('src') ?? '');
    if (source.kind === 'inline') {
      image.setAttribute('src', source.src);
    } else {
      const host = source.kind === 'remote' ? source.host : '';
      image.replaceWith(`[${['image', image.alt, host].filter(Boolean).join(': ')}]`);
    }
  }
  for (const link of fragment.querySelectorAll('a')) {
    const target = linkTarget(link.getAttribute('href') ?? '');
    if (target.kind === 'web') {
      link.href = target.href;
      link.target = '_blank';
      link.rel = 'noopener noreferrer';
    } else {
      link.removeAttribute('href');
    }
  }
  return fragment;
}
