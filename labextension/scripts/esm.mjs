// Bundles src/panel.ts and the view into the one ES module that every host loads, and what is big and
// rarely wanted into modules of their own that it asks for.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { esm, math, root } from './products.mjs';

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

if (process.argv.includes('--watch')) {
  for (const bundle of bundles) {
    const context = await esbuild.context({ ...bundle, minify: false });
    await context.watch();
  }
} else {
  await Promise.all(bundles.map(bundle => esbuild.build(bundle)));
  const size = gzipSync(readFileSync(esm)).length;
  process.stdout.write(`chat.js: ${(size / 1000).toFixed(1)} kB gzipped\n`);
  if (size > LIMIT) {
    process.stderr.write(`chat.js is over its limit of ${LIMIT / 1000} kB gzipped.\n`);
    process.exitCode = 1;
  }
}
