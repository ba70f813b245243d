import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, Passwords } from '../../src/auth/passwords.ts';
import { ParleyError } from '../../src/contract/errors.ts';

test("A6 passwords: argon2id with OWASP's parameters and a salt of its own", async () => {
  const [one, two] = await Promise.all([hashPassword('secret'), hashPassword('secret')]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  assert.notEqual(one, two);
});

test('passwords: only the right one matches, in any script, to the last character', async () => {
  const passwords = new Passwords();
  const secret = `пароль 😀 ${'x'.repeat(240)}`;
  const hashed = await passwords.hash(secret);
  assert.equal(await passwords.matches(secret, hashed), true);
  assert.equal(await passwords.matches(`${secret} `, hashed), false);
  assert.equal(await passwords.matches(secret.slice(0, -1), hashed), false);
  assert.equal(await passwords.matches('', hashed), false);
});

test('A6 passwords: for a user who does not exist, or who can not log in, nothing matches, not even the decoy', async () => {
  const passwords = new Passwords();
  for (const hashed of [undefined, '']) {
    for (const password of ['decoy', 'secret', ''])
      assert.equal(await passwords.matches(password, hashed), false);
  }
});

test('A6 passwords: what another program has written in place of a hash matches nothing, not even itself', async () => {
  const passwords = new Passwords();
  const whole = await passwords.hash('secret');
  for (const found of ['secret', 'decoy', whole.slice(0, -60), '$2b$10$abcdefghijklmnopqrstuv']) {
    for (const password of ['secret', 'decoy', found])
      assert.equal(await passwords.matches(password, found), false);
  }
});

test('G6 passwords: more than may wait are refused as overloaded, and those in line are served', async () => {
  const passwords = new Passwords({ atOnce: 1, waitingMax: 2 });
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => passwords.hash('secret')));
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  assert.equal(refused.length, 2);
  for (const error of refused) assert.ok(error instanceof ParleyError && error.code === 'overloaded');
});

test('G6 passwords: an address, or the /64 of one, has a tenth of the line; beyond it is overloaded while others are served', async () => {
  const passwords = new Passwords({ atOnce: 1, waitingMax: 40 });
  const flood = Promise.allSettled(
    Array.from({ length: 300 }, (_, i) => passwords.hash('secret', `2001:db8::${i.toString(16)}`)),
  );
  await Promise.all([
    passwords.hash('secret', '2001:db8:0:1::1'),
    passwords.matches('secret', undefined, '192.0.2.1'),
  ]);
  const refused = (await flood).filter(
    (result) => result.status === 'rejected' && (result.reason as ParleyError).code === 'overloaded',
  );
  assert.equal(refused.length, 296);
  await Promise.all(Array.from({ length: 4 }, () => passwords.hash('secret', '2001:db8::1')));
});

test('G6 passwords: what an address has of the line it gets back one by one, as each is done', async () => {
  const passwords = new Passwords({ atOnce: 1, waitingMax: 20 });
  const address = '192.0.2.1';
  const [first, second] = [passwords.hash('secret', address), passwords.hash('secret', address)];
  await assert.rejects(passwords.hash('secret', address), { code: 'overloaded' });
  await first;
  const third = passwords.hash('secret', address);
  await assert.rejects(passwords.hash('secret', address), { code: 'overloaded' }, 'one was given back');
  await Promise.all([second, third]);
});
