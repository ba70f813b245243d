import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf } from '../../src/auth/network-of.ts';

test('A6: an IPv6 address stands for its /64, however it is written', () => {
  for (const address of [
    '2001:db8:1:2::',
    '2001:db8:1:2::7',
    '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff',
    '2001:db8:1:2:3::192.0.2.1',
    '2001:db8:1:2::7%eth0',
  ])
    assert.equal(networkOf(address), '2001:db8:1:2::/64', address);
  assert.equal(networkOf('2001:db8:1:3::7'), '2001:db8:1:3::/64');
  assert.equal(networkOf('2001:db8::7'), '2001:db8:0:0::/64');
  assert.equal(networkOf('::1'), '0:0:0:0::/64');
  assert.equal(networkOf('::'), '0:0:0:0::/64');
});

test('A6: an IPv4 address is the same one where IPv6 carries it', () => {
  for (const address of [
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '::FFFF:c000:201',
    '0:0:0:0:0:ffff:c000:201',
    '64:ff9b::192.0.2.1',
  ])
    assert.equal(networkOf(address), '192.0.2.1', address);
  assert.equal(networkOf('::ffff:0.0.0.255'), '0.0.0.255');
});

test('A6: the port that some proxies put behind an address does not count, and neither do brackets', () => {
  assert.equal(networkOf('192.0.2.1:50123'), '192.0.2.1');
  assert.equal(networkOf('[2001:db8:1:2::7]:50123'), '2001:db8:1:2::/64');
  assert.equal(networkOf('[2001:db8:1:2::7]'), '2001:db8:1:2::/64');
  assert.equal(networkOf('2001:db8:1:2::7:50'), '2001:db8:1:2::/64', 'a last group is no port');
});

test('A6: what is no address stands for itself', () => {
  for (const text of ['', 'unknown', '192.0.2', '1::2::3', '[192.0.2.1', '::1]'])
    assert.equal(networkOf(text), text);
});
