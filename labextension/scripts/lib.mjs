// Turns src/lab into the plain modules that the lab extension's Rspack build starts from.
// Types are checked by `jlpm types`, not here: an installation needs no opinion on them.
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import * as esbuild from 'esbuild';
import { lib, root } from './products.mjs';

// What the page without JupyterLab has too is no part of the lazily loaded panel.
const SHARED = [
  'alerts.ts', 'begun.ts', 'changes.ts', 'notifier.ts',
  'view/i18n.ts', 'view/look.ts', 'view/undoable.ts', 'view/variables.ts'
];
const sources = readdirSync(resolve(root, 'src/lab')).filter(name => name.endsWith('.ts'));

await esbuild.build({
  absWorkingDir: root,
  charset: 'utf8',
  entryPoints: [...sources.map(name => `lab/${name}`), ...SHARED].map(name => resolve(root, 'src', name)),
  format: 'esm',
  logLevel: 'warning',
  outbase: resolve(root, 'src'),
  outdir: lib,
  target: 'es2022'
});
