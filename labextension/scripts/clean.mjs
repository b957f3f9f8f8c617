// Removes what the other scripts build, so that nothing stale is shipped.
import { rmSync } from 'node:fs';
import { esm, labextension, lib, math } from './products.mjs';

for (const product of [esm, `${esm}.map`, math, `${math}.map`, labextension, lib]) {
  rmSync(product, { recursive: true, force: true });
}
