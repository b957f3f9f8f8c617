/** An agent names files its own way; JupyterLab opens only what lies under the server's root. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { serverPath } from '../../src/lab/paths';

const workspace = { path: 'team/analysis', cwd: '/srv/ada/team/analysis' };

test('relative paths start at the workspace', () => {
  assert.equal(serverPath(workspace, 'eda.ipynb'), 'team/analysis/eda.ipynb');
  assert.equal(serverPath(workspace, './data/../report.py'), 'team/analysis/report.py');
  assert.equal(serverPath(workspace, '../README.md'), 'team/README.md');
  assert.equal(serverPath({ path: '', cwd: '/srv/ada' }, 'a.py'), 'a.py');
});

test('absolute paths under the root are found', () => {
  assert.equal(serverPath(workspace, '/srv/ada/team/analysis/a b.py'), 'team/analysis/a b.py');
  assert.equal(serverPath(workspace, '/srv/ada/other.py'), 'other.py');
  assert.equal(serverPath({ path: '', cwd: '/srv/ada' }, '/srv/ada/a.py'), 'a.py');
});

test('what lies outside is not opened', () => {
  assert.equal(serverPath(workspace, '/etc/passwd'), null);
  assert.equal(serverPath(workspace, '/srv/adam/a.py'), null);
  assert.equal(serverPath(workspace, '../../../x'), null);
  assert.equal(serverPath(workspace, '/srv/ada/../eve/x'), null);
});

test('of a workspace reached through a link only its own files are known', () => {
  const linked = { path: 'link', cwd: '/data/real' };
  assert.equal(serverPath(linked, '/data/real/a.py'), 'link/a.py');
  assert.equal(serverPath(linked, 'a.py'), 'link/a.py');
  assert.equal(serverPath(linked, '/data/other/a.py'), null);
});
