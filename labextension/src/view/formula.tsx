/** A formula: its TeX at once, drawn as soon as what draws formulas is here. */

import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { formula } from '../math.js';
import { useChat } from './context.js';
import { memo } from './memo.js';
import { Visible } from './text.js';

type Draw = typeof formula;

let draw: Draw | undefined;
let loading: Promise<Draw> | undefined;

/** Another file is asked for with the first formula of a page. Raises where it cannot be had. */
function load(api: string): Promise<Draw> {
  // Not beside this module: a widget's module has an address that nothing lies beside.
  const address = new URL('../static/agent_lab/math.js', api).href;
  loading ??= (import(address) as Promise<{ formula: Draw }>).then(
    found => {
      draw = found.formula;
      return draw;
    },
    (error: unknown) => {
      loading = undefined;
      throw error;
    }
  );
  return loading;
}

/** More than this is shown as it stands. */
const LONGEST = 4000;

interface FormulaProps {
  readonly tex: string;
  readonly raw: string;
  readonly display: boolean;
}

export const Formula = memo(({ tex, raw, display }: FormulaProps): JSX.Element => {
  const { host } = useChat();
  const at = useRef<HTMLElement>(null);
  const [here, come] = useState(draw !== undefined);
  const [wrong, explain] = useState<string>();
  const long = tex.length > LONGEST;
  useEffect(() => {
    let wanted = true;
    if (!here && !long) {
      load(host.api).then(
        () => wanted && come(true),
        () => undefined // it stays readable as TeX, and the next formula asks again
      );
    }
    return () => {
      wanted = false;
    };
  }, [here, long]);
  useLayoutEffect(() => {
    if (!draw || long) {
      return;
    }
    try {
      at.current?.replaceChildren(draw(tex, display));
      explain(undefined);
    } catch (error) {
      explain(error instanceof Error ? error.message.split(' at position', 1)[0] : String(error));
    }
  }, [here, tex, display]);
  if (here && !long && wrong === undefined) {
    return display
      ? <div class="al-math al-math-display" ref={at as { current: HTMLDivElement | null }} tabIndex={0} />
      : <span class="al-math" ref={at} />;
  }
  const code = <code class="al-tex" title={wrong}><Visible text={raw.trim()} /></code>;
  return display ? <div class="al-math-display">{code}</div> : code;
});
