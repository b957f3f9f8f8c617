// Bundles src/panel.ts and the view into the one ES module that every host loads.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { esm, root } from './products.mjs';

const LIMIT = 120_000; // bytes, gzipped: what a page pays when its first panel opens

const options = {
  absWorkingDir: root,
  bundle: true,
  charset: 'utf8',
  entryPoints: [resolve(root, 'src/panel.ts')],
  format: 'esm',
  legalComments: 'eof',
  loader: { '.css': 'text', '.svg': 'text' },
  logLevel: 'info',
  minify: true,
  outfile: esm,
  target: 'es2022'
};

if (process.argv.includes('--watch')) {
  const context = await esbuild.context({ ...options, minify: false });
  await context.watch();
} else {
  await esbuild.build(options);
  const size = gzipSync(readFileSync(esm)).length;
  process.stdout.write(`chat.js: ${(size / 1000).toFixed(1)} kB gzipped\n`);
  if (size > LIMIT) {
    process.stderr.write(`chat.js is over its limit of ${LIMIT / 1000} kB gzipped.\n`);
    process.exitCode = 1;
  }
}
