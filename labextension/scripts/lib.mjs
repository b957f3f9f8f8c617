// Turns src/lab into the plain modules that the lab extension's Rspack build starts from.
// Types are checked by `jlpm types`, not here: an installation needs no opinion on them.
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import * as esbuild from 'esbuild';
import { lib, root } from './products.mjs';

const sources = readdirSync(resolve(root, 'src/lab')).filter(name => name.endsWith('.ts'));

await esbuild.build({
  absWorkingDir: root,
  charset: 'utf8',
  entryPoints: sources.map(name => resolve(root, 'src/lab', name)),
  format: 'esm',
  logLevel: 'warning',
  outdir: resolve(lib, 'lab'),
  target: 'es2022'
});
