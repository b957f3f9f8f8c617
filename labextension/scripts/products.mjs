// Where the build's sources and products lie, for every script beside this file.
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const served = resolve(root, '../agent_lab/static');
export const esm = resolve(served, 'chat.js');
export const math = resolve(served, 'math.js');
export const labextension = resolve(root, '../agent_lab/labextension');
export const lib = resolve(root, 'lib');
