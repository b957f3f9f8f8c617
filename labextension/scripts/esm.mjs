// Bundles what every host loads, chat.js, what is big and rarely wanted into modules of their own that
// it asks for, and the page without JupyterLab around it.
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { esm, math, root, served } from './products.mjs';

const LIMIT = 120_000; // bytes, gzipped: what a page pays when its first panel opens

const options = {
  absWorkingDir: root,
  bundle: true,
  charset: 'utf8',
  format: 'esm',
  legalComments: 'eof',
  loader: { '.css': 'text', '.svg': 'text' },
  logLevel: 'info',
  minify: true,
  target: 'es2022'
};
const bundles = [
  { ...options, entryPoints: [resolve(root, 'src/panel.ts')], outfile: esm },
  { ...options, entryPoints: [resolve(root, 'src/math.ts')], outfile: math }
];

/** The page takes the panel from the bundle that all hosts share, at the address of the same build. */
const shared = {
  name: 'shared-bundle',
  setup(build) {
    build.onResolve({ filter: /^\.\/panel\.js$/ }, () => ({ path: './chat.js', external: true }));
  }
};

/** Not a module: browsers of some years ago run none as a service worker. */
const answers = {
  ...options,
  entryPoints: [resolve(root, 'src/answers.ts')],
  format: 'iife',
  outfile: resolve(served, 'answers.js')
};

const page = {
  ...options,
  entryPoints: [resolve(root, 'src/page.ts')],
  outfile: resolve(served, 'page.js'),
  plugins: [shared]
};

const copyPage = () => {
  for (const name of readdirSync(resolve(root, 'page'))) {
    copyFileSync(resolve(root, 'page', name), resolve(served, name));
  }
};

if (process.argv.includes('--watch')) {
  for (const each of [...bundles, answers, page]) {
    const context = await esbuild.context({ ...each, minify: false });
    await context.watch();
  }
  copyPage();
} else {
  await Promise.all([...bundles, answers, page].map(each => esbuild.build(each)));
  copyPage();
  const size = gzipSync(readFileSync(esm)).length;
  process.stdout.write(`chat.js: ${(size / 1000).toFixed(1)} kB gzipped\n`);
  if (size > LIMIT) {
    process.stderr.write(`chat.js is over its limit of ${LIMIT / 1000} kB gzipped.\n`);
    process.exitCode = 1;
  }
}
