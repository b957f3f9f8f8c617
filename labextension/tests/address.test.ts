import assert from 'node:assert/strict';
import test from 'node:test';

import { sessionAt } from '../src/address';

void test('the session of an address, however it is written', () => {
  const at = (rest: string) => sessionAt(`/user/ada/agent-lab/sessions${rest}`, '/user/ada/agent-lab/sessions/');
  assert.equal(at('/a%20b/'), 'a b');
  assert.equal(at('/abc'), 'abc');
  assert.equal(at('/'), null);
  assert.equal(at(''), null);
  for (const malformed of ['%E0%A4%A', '%zz', '%']) {
    assert.equal(at(`/${malformed}`), malformed);
  }
});
