// Collects every word that a person reads into the catalogue template which translators start from.
// `words.mjs` writes it; `words.mjs --check` says what no translator would see, and whether it is old.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import ts from 'typescript';
import { root } from './products.mjs';

const TEMPLATE = resolve(root, '../agent_lab/locale/agent_lab.pot');
const HEAD = `# What a person reads in Agent Lab. Made by \`jlpm words\`.
msgid ""
msgstr ""
"Project-Id-Version: agent-lab\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"
`;
/** By the name that is called: which arguments are words. */
const SINGULAR = new Set(['t', '__']);
const PLURAL = new Set(['tn', '_n']);
/** What a screen reader or a hint says. */
const ATTRIBUTES = new Set(['aria-label', 'title', 'placeholder', 'alt', 'label']);
const LETTERS = /\p{L}{2}/u;

const entries = new Map();
const problems = [];

function add(file, one, { more, context } = {}) {
  const key = `${context ?? ''}\u0004${one}`;
  const entry = entries.get(key) ?? { one, more, context, files: new Set() };
  entry.more ??= more;
  entry.files.add(relative(root, file));
  entries.set(key, entry);
}

/** The texts that an expression can be; null: that cannot be told from this file. */
function textsOf(node, source) {
  const all = nodes => {
    const found = nodes.map(each => textsOf(each, source));
    return found.includes(null) ? null : found.flat();
  };
  if (ts.isStringLiteralLike(node)) {
    return [node.text];
  }
  if (ts.isParenthesizedExpression(node)) {
    return textsOf(node.expression, source);
  }
  if (ts.isConditionalExpression(node)) {
    return all([node.whenTrue, node.whenFalse]);
  }
  if (ts.isBinaryExpression(node)) {
    // One side is often what came from outside; the other is ours.
    return textsOf(node.left, source) ?? textsOf(node.right, source);
  }
  if (ts.isElementAccessExpression(node) && ts.isIdentifier(node.expression)) {
    const table = tableOf(node.expression.text, source);
    return table && all(table.properties.map(each => each.initializer));
  }
  return null;
}

/** Every text of a table that is marked `@words`: its parts reach `t` by other names. */
function readMarked(file, source) {
  let found = false;
  const collect = node => {
    if (ts.isStringLiteral(node) && LETTERS.test(node.text)) {
      add(file, node.text);
    }
    ts.forEachChild(node, collect);
  };
  for (const statement of source.statements) {
    if (ts.getJSDocTags(statement).some(tag => tag.tagName.text === 'words')) {
      found = true;
      statement.declarationList.declarations.forEach(each => collect(each.initializer));
    }
  }
  return found;
}

function tableOf(name, source) {
  for (const statement of source.statements) {
    for (const { name: declared, initializer } of statement.declarationList?.declarations ?? []) {
      if (declared.getText(source) === name && initializer && ts.isObjectLiteralExpression(initializer)) {
        return initializer;
      }
    }
  }
  return null;
}

function read(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const complain = (node, what) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    problems.push(`${relative(root, file)}:${line + 1}: ${what}: ${node.getText(source).trim().slice(0, 80)}`);
  };
  const marked = readMarked(file, source);
  const visit = node => {
    if (ts.isCallExpression(node)) {
      const called = ts.isPropertyAccessExpression(node.expression) ? node.expression.name.text : node.expression.getText(source);
      const [first, second] = node.arguments;
      if (SINGULAR.has(called) && first) {
        const texts = textsOf(first, source);
        texts?.forEach(text => add(file, text));
        if (!texts && !marked) {
          complain(node, 'words that no catalogue can hold');
        }
      } else if (PLURAL.has(called) && first && second) {
        const [[one], [more]] = [textsOf(first, source) ?? [], textsOf(second, source) ?? []];
        if (one && more) {
          add(file, one, { more });
        } else {
          complain(node, 'words that no catalogue can hold');
        }
      }
    } else if (ts.isJsxText(node) && LETTERS.test(node.text)) {
      complain(node, 'words past the translator');
    } else if (
      ts.isJsxAttribute(node) && ATTRIBUTES.has(node.name.getText(source)) &&
      node.initializer && ts.isStringLiteral(node.initializer) && LETTERS.test(node.initializer.text)
    ) {
      complain(node, 'words past the translator');
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** JupyterLab translates settings by these contexts. */
function readSchema(file) {
  const schema = JSON.parse(readFileSync(file, 'utf8'));
  const settings = (node, inside) => {
    for (const [key, value] of Object.entries(node ?? {})) {
      if (inside && (key === 'title' || key === 'description') && typeof value === 'string') {
        add(file, value, { context: 'settings' });
      } else if (typeof value === 'object') {
        settings(value, true);
      }
    }
  };
  add(file, schema.title, { context: 'schema' });
  add(file, schema.description, { context: 'schema' });
  add(file, schema['jupyter.lab.setting-icon-label'], { context: 'settings' });
  for (const bar of Object.values(schema['jupyter.lab.toolbars'] ?? {})) {
    bar.filter(each => each.label).forEach(each => add(file, each.label, { context: 'toolbar' }));
  }
  settings(schema.properties, false);
}

const quoted = text => `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;

function written({ one, more, context, files }) {
  return [
    `#: ${[...files].sort().join(' ')}`,
    ...(/\{\w+\}/.test(one + (more ?? '')) ? ['#, python-brace-format'] : []),
    ...(context ? [`msgctxt ${quoted(context)}`] : []),
    `msgid ${quoted(one)}`,
    ...(more ? [`msgid_plural ${quoted(more)}`, 'msgstr[0] ""', 'msgstr[1] ""'] : ['msgstr ""'])
  ].join('\n');
}

const sources = readdirSync(resolve(root, 'src'), { recursive: true })
  .filter(name => /\.tsx?$/.test(name) && !/\.test\.|i18n\.ts$/.test(name))
  .sort();
sources.forEach(name => read(resolve(root, 'src', name)));
readSchema(resolve(root, 'schema/plugin.json'));

const order = ({ one, context }) => `${one}\u0004${context ?? ''}`;
const sorted = [...entries.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
const template = `${[HEAD, ...sorted.map(written)].join('\n')}\n`;
if (process.argv.includes('--check')) {
  if ((existsSync(TEMPLATE) ? readFileSync(TEMPLATE, 'utf8') : '') !== template) {
    problems.push(`${relative(root, TEMPLATE)} is old: run \`jlpm words\`.`);
  }
} else {
  mkdirSync(dirname(TEMPLATE), { recursive: true });
  writeFileSync(TEMPLATE, template);
  process.stdout.write(`${relative(root, TEMPLATE)}: ${sorted.length} texts\n`);
}
if (problems.length) {
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exitCode = 1;
}
