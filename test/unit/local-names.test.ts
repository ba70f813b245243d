import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLocalName } from '../../src/base/local-names.ts';

const LOCAL = [
  undefined,
  '',
  'localhost',
  'localhost:8888',
  'LocalHost.:8888',
  'parley.localhost:8888',
  '127.0.0.1',
  '127.0.0.1:8888',
  '192.168.1.20:8888',
  '[::1]',
  '[::1]:8888',
  '[::ffff:127.0.0.1]:8888',
];
for (const host of LOCAL) {
  test(`G9 rebinding: ${JSON.stringify(host) ?? 'no Host'} is this machine by no name of somebody else's`, () => {
    assert.equal(isLocalName(host), true);
  });
}

const FOREIGN = [
  'evil.example',
  'evil.example:8888',
  'localhost.evil.example',
  'evillocalhost',
  '127.0.0.1.evil.example:8888',
  '1.2.3.4.5',
  'evil.example:80@localhost',
  '[evil.example]:8888',
  'evil.example, localhost',
  'evil.example\nlocalhost',
  ':8888',
];
for (const host of FOREIGN) {
  test(`G9 rebinding: ${JSON.stringify(host)} may be a name that anybody has lead here`, () => {
    assert.equal(isLocalName(host), false);
  });
}
