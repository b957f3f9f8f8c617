// Removes what the other scripts build, so that nothing stale is shipped.
import { rmSync } from 'node:fs';
import { labextension, lib, served } from './products.mjs';

for (const product of [served, labextension, lib]) {
  rmSync(product, { recursive: true, force: true });
}
