/** Every word a person reads goes through `t`, so that a host can translate it. */

/** A catalogue: the text in the reader's language, and which of its forms goes with a number. */
export interface Translator {
  translate(text: string): string;
  translatePlural(one: string, more: string, n: number): string;
}

const ENGLISH: Translator = {
  translate: text => text,
  translatePlural: (one, more, n) => (n === 1 ? one : more)
};
const SHARED = Symbol.for('agent-lab:translator');

let told: Translator | undefined;

/** All panels of a page speak one language: the last host's. */
export function speak(host: Partial<Translator>): void {
  if (host.translate && host.translatePlural) {
    told = {
      translate: host.translate.bind(host), translatePlural: host.translatePlural.bind(host)
    };
  }
}

/** Also where a panel's host knows no language, such as the output of a cell in JupyterLab's page. */
const translator = (): Translator =>
  told ?? (globalThis as { [SHARED]?: Translator })[SHARED] ?? ENGLISH;

/** The text in the reader's language, `{name}` replaced by the values. */
export function t(text: string, values: Values = {}): string {
  return filled(translator().translate(text), values);
}

/** The same for a number of things; `{n}` is the number, written as `values` says where it does. */
export function tn(one: string, more: string, n: number, values: Values = {}): string {
  return filled(translator().translatePlural(one, more, n), { n, ...values });
}

type Values = Readonly<Record<string, string | number>>;

function filled(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole
  );
}
