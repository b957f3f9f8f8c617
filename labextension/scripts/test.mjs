// Runs every *.test.ts of src/ and tests/ under Node's own test runner, bundled as the product is.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import * as esbuild from 'esbuild';
import { lib, root } from './products.mjs';

const built = resolve(lib, 'tests');
const sources = ['src', 'tests']
  .filter(folder => existsSync(resolve(root, folder)))
  .flatMap(folder => readdirSync(resolve(root, folder), { recursive: true }).map(name => `${folder}/${name}`))
  .filter(name => /\.test\.tsx?$/.test(name));

rmSync(built, { recursive: true, force: true });
await esbuild.build({
  absWorkingDir: root,
  bundle: true,
  entryPoints: sources.map(name => resolve(root, name)),
  format: 'esm',
  loader: { '.css': 'text', '.svg': 'text' },
  logLevel: 'warning',
  outbase: root,
  outdir: built,
  outExtension: { '.js': '.mjs' },
  packages: 'external',
  platform: 'node',
  sourcemap: 'inline',
  target: 'node20'
});
const files = sources.map(name => resolve(built, name.replace(/\.tsx?$/, '.mjs')));
const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=spec', ...files], { cwd: root, stdio: 'inherit' });
process.exitCode = run.status ?? 1;
