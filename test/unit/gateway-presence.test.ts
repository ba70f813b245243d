import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Presence, type Watcher } from '../../src/gateway/presence.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedBus, type ScriptedPort, settle } from '../support/scripted-bus.ts';

/** Who watches, and every notice they were given. */
class Eyes implements Watcher {
  readonly notices: string[] = [];
  presence(online: readonly string[], offline: readonly string[]): void {
    this.notices.push([...online.map((user) => `+${user}`), ...offline.map((user) => `-${user}`)].join(' '));
  }
  /** The notices since the last call. */
  get news(): string[] {
    return this.notices.splice(0);
  }
}

type Place = { readonly port: ScriptedPort; readonly presence: Presence };

/** Gateways on one bus, which delivers whatever is said as time passes. */
class World {
  readonly clock = new ManualClock();
  readonly #bus = new ScriptedBus();
  readonly #places: Place[] = [];

  async start(name: string): Promise<Place> {
    const port = this.#bus.port();
    const place = { port, presence: new Presence(port, this.clock, name) };
    this.#places.push(place);
    await place.presence.start();
    this.exchange();
    return place;
  }

  exchange(): void {
    while (this.#places.some(({ port }) => port.inbox.length > 0))
      for (const { port } of this.#places) port.deliver();
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) {
      this.clock.advance(50);
      this.exchange();
    }
  }
}

/** Two gateways; somebody on the second one watches ann and bob. */
async function fixture() {
  const world = new World();
  const there = await world.start('g1');
  const here = await world.start('g2');
  const eyes = new Eyes();
  here.presence.watch(eyes, [], ['ann', 'bob']);
  assert.deepEqual(eyes.news, ['-ann -bob'], 'how things stand, at once');
  return { world, there, here, eyes };
}

test('S3 presence: the first socket of a user anywhere is told, and the end of the last; what is between is not', async () => {
  const { world, there, here, eyes } = await fixture();
  there.presence.change('ann', 1);
  world.pass(150);
  assert.deepEqual(eyes.news, ['+ann']);
  there.presence.change('ann', 1);
  here.presence.change('ann', 1);
  there.presence.change('ann', -1);
  world.pass(150);
  assert.deepEqual([there.presence.sockets('ann'), here.presence.sockets('ann')], [2, 2]);
  there.presence.change('ann', -1);
  world.pass(150);
  assert.equal(here.presence.sockets('ann'), 1);
  assert.deepEqual(eyes.news, [], 'one is left here');
  here.presence.change('ann', -1);
  assert.equal(here.presence.isOnline('ann'), false);
  assert.equal(there.presence.isOnline('ann'), true, 'not told yet');
  world.pass(150);
  assert.deepEqual(eyes.news, ['-ann']);
  assert.equal(there.presence.isOnline('ann'), false);
});

test('S3, G6 presence: who comes and goes all the time costs watchers ten notices a second at most, and the last one is right', async () => {
  for (const where of ['here', 'there'] as const) {
    const { world, eyes, ...places } = await fixture();
    const { presence } = places[where];
    for (let i = 0; i < 1_000; i++) {
      presence.change('ann', 1);
      presence.change('ann', -1);
      world.pass(i % 4 === 3 ? 50 : 0);
      presence.change('bob', i % 2 === 0 ? 1 : -1);
    }
    presence.change('ann', 1);
    world.pass(150);
    const { news } = eyes;
    assert.ok(news.length <= 130, `${where}: ${news.length} notices in 12.5 s`);
    assert.match(news.filter((notice) => notice.includes('ann')).at(-1) ?? '', /\+ann/, where);
  }
});

test('S3 presence: who begins to watch between a change and its telling is told of it once, and what comes from elsewhere meanwhile', async () => {
  const { world, there, here, eyes } = await fixture();
  here.presence.change('ann', 1);
  const late = new Eyes();
  here.presence.watch(late, [], ['ann']);
  there.presence.change('ann', 1);
  world.pass(150);
  assert.deepEqual([eyes.news, late.news], [['+ann'], ['-ann', '+ann']]);
  here.presence.change('ann', -1);
  there.presence.change('ann', -1);
  world.pass(150);
  assert.deepEqual([eyes.news, late.news], [['-ann'], ['-ann']]);
});

test('S3 presence: a gateway that dies takes its users with it within 5 s, in one notice; one that lives takes nobody', async () => {
  const { world, there, here, eyes } = await fixture();
  for (const user of ['ann', 'bob', 'cat']) there.presence.change(user, 1);
  world.pass(150);
  assert.deepEqual(eyes.news, ['+ann +bob']);
  world.pass(20_000);
  assert.deepEqual(eyes.news, [], 'silent users of a gateway that speaks stay');
  there.port.publishable = 0;
  world.pass(2_900);
  assert.deepEqual(eyes.news, [], 'a pause of 3 s is no death');
  world.pass(2_100);
  assert.deepEqual(eyes.news, ['-ann -bob']);
  assert.equal(here.presence.sockets('cat'), 0);
  await settle(); // What it could not publish ends no process.
});

test('S3 presence: a gateway that stood still itself tells nobody that the others are gone', async () => {
  const { world, there, eyes } = await fixture();
  there.presence.change('ann', 1);
  world.pass(2_000);
  assert.deepEqual(eyes.news, ['+ann']);
  world.clock.sleep(6_000);
  world.pass(6_000);
  assert.deepEqual(eyes.news, []);
});

test('S3 presence: what a lost telling said is found out with the next one, comings and goings', async () => {
  const { world, there, here, eyes } = await fixture();
  there.presence.change('ann', 1);
  world.pass(150);
  assert.deepEqual(eyes.news, ['+ann']);
  there.presence.change('ann', -1);
  there.presence.change('bob', 1);
  world.clock.advance(100);
  here.port.inbox.length = 0; // The bus loses it.
  world.exchange();
  assert.deepEqual(eyes.news, []);
  world.pass(1_100);
  assert.deepEqual(eyes.news, ['+bob -ann']);
  world.pass(5_000);
  assert.deepEqual(eyes.news, []);
});

test('S3 presence: what a lost telling said is found out even if the question about it, or a part of the answer, is lost, too', async () => {
  for (const lost of ['question', 'answer'] as const) {
    const { world, there, here, eyes } = await fixture();
    there.presence.change('ann', 1);
    world.pass(150);
    assert.deepEqual(eyes.news, ['+ann']);
    there.presence.change('ann', -1);
    world.clock.advance(100);
    here.port.lose();
    world.clock.advance(1_000);
    here.port.deliver(); // It hears that it missed something, and asks.
    if (lost === 'answer') there.port.deliver();
    (lost === 'question' ? there : here).port.lose();
    world.pass(5_000);
    assert.deepEqual(eyes.news, ['-ann'], lost);
    const { publish } = here.port;
    let asked = 0;
    here.port.publish = (publications) => {
      for (const { payload } of publications) if (JSON.parse(payload).ask !== undefined) asked++;
      return publish.call(here.port, publications);
    };
    world.pass(5_000);
    assert.equal(asked, 0, 'who knows everything asks no more');
  }
});

test('S3 presence: a gateway that has just started knows at once who is online, however many', async () => {
  const { world, there } = await fixture();
  const users = Array.from({ length: 4_500 }, (_, i) => `user ${i}`);
  for (const user of users) there.presence.change(user, 1);
  world.pass(150);
  const { presence } = await world.start('g3');
  assert.deepEqual(
    users.filter((user) => !presence.isOnline(user)),
    [],
  );
});

test('G8 presence: a gateway that stops says that nobody is there any more, and does not leave it to its silence', async () => {
  const { world, there, eyes } = await fixture();
  there.presence.change('ann', 1);
  world.pass(150);
  assert.deepEqual(eyes.news, ['+ann']);
  there.presence.change('bob', 1); // Not told yet.
  there.presence.stop();
  world.exchange();
  assert.deepEqual(eyes.news, ['-ann']);
  const { publish } = there.port;
  let said = 0;
  there.port.publish = (...args) => {
    said++;
    return publish.apply(there.port, args);
  };
  world.pass(2_000);
  assert.deepEqual([eyes.news, said, there.port.channels], [[], 0, []], 'nothing follows');
});

test('S3 presence: a new set replaces the old one, and who is gone is told nothing', async () => {
  const { world, there, here, eyes } = await fixture();
  here.presence.watch(eyes, ['ann', 'bob'], ['bob']);
  assert.deepEqual(eyes.news, ['-bob']);
  there.presence.change('ann', 1);
  world.pass(150);
  assert.deepEqual(eyes.news, []);
  const others = new Eyes();
  here.presence.watch(others, [], ['ann', 'bob']);
  assert.deepEqual(others.news, ['+ann -bob']);
  here.presence.unwatch(eyes, ['bob']);
  there.presence.change('bob', 1);
  world.pass(150);
  assert.deepEqual([eyes.news, others.news], [[], ['+bob']], 'who goes takes nobody else along');
});

test('G6 presence: who has left is kept nowhere, and a gateway that starts is told only of those who are there', async () => {
  const { world, there } = await fixture();
  for (const by of [1, -1] as const) {
    for (const user of ['ann', 'bob']) there.presence.change(user, by);
    world.pass(150);
  }
  there.presence.change('cat', 1);
  world.pass(150);
  const told: unknown[] = [];
  const { publish } = there.port;
  there.port.publish = (publications) => {
    for (const { payload } of publications) told.push(JSON.parse(payload).counts);
    return publish.call(there.port, publications);
  };
  await world.start('g3');
  assert.deepEqual(told[0], [['cat', 1]]);
});
