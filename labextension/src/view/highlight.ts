/** Colours for code: one small scanner with a table per language. Pure; it makes tokens, not HTML. */

export type Paint = 'keyword' | 'string' | 'number' | 'comment' | 'call' | 'operator' | null;
export interface Span { readonly text: string; readonly paint: Paint }

interface Language {
  readonly comment: string;
  readonly string: string;
  readonly keywords: ReadonlySet<string>;
}
const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

const QUOTED = String.raw`"(?:[^"\\\n]|\\[^])*"?|'(?:[^'\\\n]|\\[^])*'?`;
const C_LIKE = String.raw`\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)`;
const python: Language = {
  comment: '#[^\\n]*',
  string: String.raw`[rbfuRBFU]{0,2}(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${QUOTED})`,
  keywords: words(
    'False None True and as assert async await break case class continue def del elif else except ' +
      'finally for from global if import in is lambda match nonlocal not or pass raise return try ' +
      'while with yield'
  )
};
const shell: Language = {
  comment: '(?<=^|\\s)#[^\\n]*',
  string: String.raw`"(?:[^"\\]|\\[^])*"?|'[^']*'?|\$\{?\w+\}?`,
  keywords: words('if then else elif fi for in do done while until case esac function return export local')
};
const script: Language = {
  comment: C_LIKE,
  string: `${QUOTED}|\`(?:[^\`\\\\]|\\\\[^])*\`?`,
  keywords: words(
    'as async await break case catch class const continue default delete do else enum export extends ' +
      'false finally for from function if implements import in instanceof interface let new null of ' +
      'private public readonly return static super switch this throw true try type typeof undefined ' +
      'var void while yield'
  )
};
const sql: Language = {
  comment: String.raw`--[^\n]*|\/\*[^]*?(?:\*\/|$)`,
  string: `'(?:[^']|'')*'?|"[^"]*"?`,
  keywords: words(
    'all and as asc between by case create delete desc distinct drop else end exists from full group ' +
      'having in inner insert into is join left like limit not null offset on or order outer over ' +
      'partition right select set table then union update using values when where with'
  )
};
const r: Language = {
  comment: '#[^\\n]*',
  string: QUOTED,
  keywords: words('FALSE NA NULL TRUE break else for function if in library next repeat return while')
};
const data: Language = {
  comment: '(?<=^|\\s)#[^\\n]*',
  string: QUOTED,
  keywords: words('true false null yes no on off')
};
const compiled: Language = {
  comment: C_LIKE,
  string: QUOTED,
  keywords: words(
    'auto bool break case char class const continue default do double else enum extern false float fn ' +
      'for func go if impl import int interface let long loop match mod mut namespace new nil null ' +
      'package private pub public return self static string struct switch this trait true type use ' +
      'using var void where while'
  )
};

const NAMES: Readonly<Record<string, Language>> = {
  python, py: python, python3: python, ipython: python, pycon: python,
  bash: shell, sh: shell, shell, zsh: shell, console: shell,
  javascript: script, js: script, jsx: script, typescript: script, ts: script, tsx: script,
  sql, postgresql: sql, r, yaml: data, yml: data, json: data, jsonc: data, toml: data, ini: data,
  c: compiled, cpp: compiled, rust: compiled, rs: compiled, go: compiled, java: compiled, julia: r
};
const scanners = new Map<Language, RegExp>();

/** More than this is shown without colours: nobody reads it, and it would hold up the frame. */
const LONGEST = 30_000;

export function highlight(code: string, name: string): readonly Span[] {
  const language = NAMES[name.toLowerCase()];
  if (name.toLowerCase() === 'diff' || !language || code.length > LONGEST) {
    return [{ text: code, paint: null }];
  }
  let scanner = scanners.get(language);
  if (!scanner) {
    scanner = new RegExp(
      `(?<comment>${language.comment})|(?<string>${language.string})|` +
        String.raw`(?<number>\b0[xXbBoO][\da-fA-F_]+\b|\b\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|` +
        String.raw`(?<word>[A-Za-z_]\w*)(?<call>(?=\())?|(?<operator>[=+\-*/%<>!&|^~]+)`,
      'gm'
    );
    scanners.set(language, scanner);
  }
  const spans: Span[] = [];
  let from = 0;
  const put = (text: string, paint: Paint): void => {
    if (text) {
      spans.push({ text, paint });
    }
  };
  for (const match of code.matchAll(scanner)) {
    const found = match.groups ?? {};
    const word = found['word'];
    const key = language === sql ? word?.toLowerCase() : word;
    const paint: Paint =
      found['comment'] !== undefined ? 'comment'
      : found['string'] !== undefined ? 'string'
      : found['number'] !== undefined ? 'number'
      : found['operator'] !== undefined ? 'operator'
      : key !== undefined && language.keywords.has(key) ? 'keyword'
      : found['call'] !== undefined ? 'call'
      : null;
    if (paint) {
      put(code.slice(from, match.index), null);
      put(match[0], paint);
      from = match.index + match[0].length;
    }
  }
  put(code.slice(from), null);
  return spans;
}
