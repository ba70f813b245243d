import assert from 'node:assert/strict';
import { test } from 'node:test';

/** Where the browser is, as far as the route looks. */
const location = { hash: '' };
let moved = (): void => {};
Object.assign(globalThis, {
  location,
  window: { addEventListener: (_: string, listener: () => void) => (moved = listener) },
});
const { hrefOf, route } = await import('../../src/web/model/route.ts');

test('web: every id has an address that leads to it, that of nobody, too, to whom an old database may have messages', () => {
  assert.equal(route.value, null);
  for (const peer of [
    'alice',
    '',
    'a/b',
    '%',
    '#',
    'a b',
    '..',
    '😀',
    '\u202eevil',
    'nl\nname',
    '__proto__',
  ]) {
    location.hash = hrefOf(peer);
    moved();
    assert.equal(route.value, peer);
  }
  for (const hash of ['', '#', '#alice', '#/%zz']) {
    location.hash = hash;
    moved();
    assert.equal(route.value, null, hash);
  }
});
