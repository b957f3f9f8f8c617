/** LaTeX as MathML, which browsers draw by themselves. A file of its own: most conversations have none. */

import temml from 'temml';

const ELEMENTS = new Set(
  ('math maction menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts ' +
    'mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none ' +
    'annotation semantics').split(' ')
);
const ATTRIBUTES = new Set(
  ('accent accentunder class columnalign columnlines columnspacing columnspan depth dir display ' +
    'displaystyle encoding fence form height largeop linethickness lspace mathbackground mathcolor ' +
    'mathsize mathvariant maxsize minsize movablelimits notation rowlines rowspacing rowspan rspace ' +
    'scriptlevel separator stretchy style symmetric voffset width xmlns').split(' ')
);
/** Styles that fetch something, or reach out of the box that the panel puts around a formula. */
const STYLES = /url|image|content|cursor|z-index|fixed|sticky/i;
/** In em: what is wider is a trick or a mistake. */
const WIDEST: [number, number] = [40, 500];

/** The formula as nodes that can do nothing. Raises an Error that says what is wrong with the TeX. */
export function formula(tex: string, display: boolean): Element {
  const home = document.createElement('div');
  temml.render(tex, home, {
    displayMode: display, throwOnError: true, trust: false, maxSize: WIDEST, maxExpand: 500, wrap: 'tex'
  });
  for (const node of home.querySelectorAll('*')) {
    if (!ELEMENTS.has(node.localName)) {
      throw new Error(`This is no element of a formula: ${node.localName}`);
    }
    for (const { name, value } of [...node.attributes]) {
      if (!ATTRIBUTES.has(name) || (name === 'style' && STYLES.test(value))) {
        node.removeAttribute(name);
      }
    }
  }
  const [math] = home.children;
  if (!math) {
    throw new Error('The formula is empty.');
  }
  return math;
}
