/** Every word a person reads goes through `t`, so that a host can translate it. */

let translate = (text: string): string => text;

/** All panels of a page speak one language: the last host's. */
export function speak(translator: ((text: string) => string) | undefined): void {
  if (translator) {
    translate = translator;
  }
}

/** The text in the reader's language, `{name}` replaced by the values. */
export function t(text: string, values: Readonly<Record<string, string | number>> = {}): string {
  return translate(text).replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole
  );
}
