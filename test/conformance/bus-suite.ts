import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { OnUnreadable } from '../../src/bus/listeners.ts';
import { type Bus, type LogEntry, type Position, RequestTimeout } from '../../src/core/bus.ts';
import { waitFor } from '../support/wait.ts';

/** One process's end of the bus under test; `die` ends it without a word, as a killed process does. */
export type Member = { readonly bus: Bus; die(): Promise<void> };
/** A bus of its own for each test. */
export type BusFixture = {
  /** @param onUnreadable gets what a listener of the member threw */
  member(onUnreadable?: OnUnreadable): Promise<Member>;
  /** Whether a request that a dead server had is given to another; otherwise it times out. */
  readonly dispatchesAgain: boolean;
};

/** For what must come, however busy the machine is, in milliseconds. */
export const PATIENCE_MS = 20_000;

const until = (condition: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  waitFor(condition, PATIENCE_MS, () => `never: ${what}`);

/** Everything in the log after a position. */
async function readAll(bus: Bus, after_?: Position): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  for (let position = after_; ; ) {
    const entries = await bus.read(position, 7, 50);
    if (entries.length === 0) return all;
    all.push(...entries);
    position = entries.at(-1)?.position;
  }
}
const payloads = (entries: readonly LogEntry[]): string[] => entries.map(({ payload }) => payload);
const numbers = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `entry ${from + i}`);

/** What every bus promises (src/core/bus.ts). */
export function busSuite(name: string, createFixture: () => Promise<BusFixture>): void {
  const fixtureTest = (title: string, body: (fixture: BusFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => body(await createFixture()));
  };

  fixtureTest(
    'publications come in order per channel, whole, to every listener, and to no other channel',
    async (fixture) => {
      const [one, two, three] = await Promise.all([fixture.member(), fixture.member(), fixture.member()]);
      const heard: string[][] = [[], [], []];
      await two.bus.subscribe('a', (payload) => heard[0]?.push(payload));
      await three.bus.subscribe('a', (payload) => heard[1]?.push(payload));
      await three.bus.subscribe('b', (payload) => heard[2]?.push(payload));
      const sent = ['', 'x', '\n', '😀\0\u2028', 'x'.repeat(200_000), ...numbers(1_200)];
      for (const payload of sent.slice(0, 5)) await one.bus.publish([{ channel: 'a', payload }]);
      await one.bus.publish(sent.slice(5).map((payload) => ({ channel: 'a', payload })));
      await one.bus.publish([{ channel: 'b', payload: 'last' }]);
      await until(() => heard[0]?.length === sent.length && heard[2]?.length === 1, 'all was heard');
      assert.deepEqual(heard, [sent, sent, ['last']]);
    },
  );

  fixtureTest('a channel is heard whatever its name holds: user ids are part of it', async (fixture) => {
    const [one, two] = await Promise.all([fixture.member(), fixture.member()]);
    // Between braces stands what decides on the place of a channel in a cluster, unless it is nothing.
    const braces = ['{', '}', '{}', '{}}', '{}{}', 'a{}b}c', '{a}', '}{a}{b}', '{{}}', '{ä}', 'é{}😀}'];
    const names = [...braces, 'a b', 'a\nb', 'a\0b', '\u2028', '😀', '__proto__', '*', '[a]', '"\\'].map(
      (it) => `u:${it}`,
    );
    const heard = new Map<string, string>();
    await Promise.all(
      names.map((name) => two.bus.subscribe(name, (payload) => void heard.set(name, payload))),
    );
    for (const channel of names) await one.bus.publish([{ channel, payload: `to ${channel}` }]);
    await until(() => heard.size === names.length, 'all was heard');
    for (const name of names) assert.equal(heard.get(name), `to ${name}`);
  });

  fixtureTest('what is published after subscribe resolves is heard, by oneself too', async (fixture) => {
    const { bus } = await fixture.member();
    const other = await fixture.member();
    for (let i = 0; i < 20; i++) {
      const heard: string[] = [];
      await bus.subscribe(`c${i}`, (payload) => heard.push(payload));
      await (i % 2 ? bus : other.bus).publish([{ channel: `c${i}`, payload: 'now' }]);
      await until(() => heard.length === 1, 'the publication was heard');
    }
  });

  fixtureTest(
    'after unsubscribe nothing is heard, and subscribing again works, at once too',
    async (fixture) => {
      const { bus } = await fixture.member();
      const heard: string[] = [];
      const marks: string[] = [];
      await bus.subscribe('mark', (payload) => marks.push(payload));
      const listen = (): Promise<void> => bus.subscribe('a', (payload) => heard.push(payload));
      await listen();
      bus.unsubscribe('a');
      await bus.publish([
        { channel: 'a', payload: 'unheard' },
        { channel: 'mark', payload: '1' },
      ]);
      await until(() => marks.length === 1, 'the mark came');
      await listen();
      bus.unsubscribe('a');
      await listen();
      await bus.publish([{ channel: 'a', payload: 'heard' }]);
      await until(() => heard.length > 0, 'the second subscription works');
      assert.deepEqual(heard, ['heard']);
    },
  );

  fixtureTest('who subscribes again without having left hears each publication once', async (fixture) => {
    const { bus } = await fixture.member();
    const heard: string[] = [];
    for (const listener of ['old', 'new'])
      await bus.subscribe('a', (payload) => heard.push(`${listener}: ${payload}`));
    for (const payload of ['1', '2']) await bus.publish([{ channel: 'a', payload }]);
    await until(() => heard.includes('new: 2'), 'the publications came');
    assert.deepEqual(heard, ['new: 1', 'new: 2']);
  });

  fixtureTest(
    'a publication that its listener fails at is told once per kind of channel; the listener hears the next ones',
    async (fixture) => {
      const told: string[] = [];
      const { bus } = await fixture.member((kind, error) =>
        told.push(`${kind}: ${(error as Error).message}`),
      );
      const heard: string[] = [];
      for (const channel of ['u:ann', 'u:bob', 'beat'])
        await bus.subscribe(channel, (payload) => {
          if (payload === 'junk') throw new Error('unreadable');
          heard.push(`${channel} ${payload}`);
        });
      for (const payload of ['junk', 'good'])
        await bus.publish(['u:ann', 'u:bob', 'beat'].map((channel) => ({ channel, payload })));
      await until(() => heard.length === 3, 'the next ones were heard');
      assert.deepEqual(told.sort(), ['beat: unreadable', 'u: unreadable']);
    },
  );

  fixtureTest(
    'the log gives entries in the order they were appended, in pages, from any position',
    async (fixture) => {
      const writer = await fixture.member();
      const reader = await fixture.member();
      await Promise.all(numbers(40).map((payload) => writer.bus.append(payload)));
      const all = await readAll(reader.bus);
      assert.deepEqual(payloads(all), numbers(40));
      assert.equal((await reader.bus.read(undefined, 7, 50)).length, 7);
      assert.deepEqual(payloads(await readAll(reader.bus, all[29]?.position)), numbers(10, 30));
      assert.equal(new Set(all.map(({ position }) => position)).size, 40);
    },
  );

  fixtureTest(
    'a read waits for the first entry, and answers with nothing if there is none',
    async (fixture) => {
      const writer = await fixture.member();
      const reader = await fixture.member();
      await writer.bus.append('first');
      const [first] = await reader.bus.read(undefined, 10, 1_000);
      assert.deepEqual(await reader.bus.read(first?.position, 10, 60), []);
      const waiting = reader.bus.read(first?.position, 10, 4_000);
      await writer.bus.append('second');
      const began = Date.now();
      assert.deepEqual(payloads(await waiting), ['second']);
      assert.ok(Date.now() - began < 3_500);
    },
  );

  fixtureTest(
    'G7 reads: while two wait at once, as of a writer and the one that replaces it, each ends, with the entry or with nothing',
    async (fixture) => {
      const [writer, replaced, next] = await Promise.all([
        fixture.member(),
        fixture.member(),
        fixture.member(),
      ]);
      const empty = [replaced.bus.read(undefined, 10, 60), next.bus.read(undefined, 10, 80)];
      assert.deepEqual(await Promise.all(empty), [[], []]);
      const waiting = [replaced.bus.read(undefined, 10, 4_000), next.bus.read(undefined, 10, 4_000)];
      await writer.bus.append('entry 0');
      assert.deepEqual((await Promise.all(waiting)).map(payloads), [numbers(1), numbers(1)]);
    },
  );

  fixtureTest(
    'G1 offset: a reader that comes back reads on from its position; what was not trimmed is read again',
    async (fixture) => {
      const writer = await fixture.member();
      const first = await fixture.member();
      await Promise.all(numbers(10).map((payload) => writer.bus.append(payload)));
      const seen = await first.bus.read(undefined, 4, 1_000);
      await first.die();
      const second = await fixture.member();
      assert.deepEqual(payloads(await readAll(second.bus, seen.at(-1)?.position)), numbers(6, 4));
      assert.deepEqual(payloads(await readAll(second.bus)), numbers(10), 'nothing was trimmed');
    },
  );

  fixtureTest(
    'a position in the log of another bus says nothing: a node that is given a Redis, or has none any more, reads all there is',
    async (fixture) => {
      const { bus } = await fixture.member();
      for (const foreign of ['1e6dba37-122', '12345678-5', '1795719235233-0']) {
        assert.deepEqual(await bus.read(foreign, 10, 1), []);
        await bus.append('new');
        const [entry] = await bus.read(foreign, 10, 1_000);
        assert.equal(entry?.payload, 'new', foreign);
        await bus.trim(entry.position);
      }
    },
  );

  fixtureTest('trim forgets up to and including the position, and positions stay good', async (fixture) => {
    const { bus } = await fixture.member();
    for (const payload of numbers(10)) await bus.append(payload);
    const all = await readAll(bus);
    await bus.trim(all[5]?.position as Position);
    assert.deepEqual(payloads(await readAll(bus)), numbers(4, 6));
    assert.deepEqual(
      payloads(await readAll(bus, all[2]?.position)),
      numbers(4, 6),
      'from within what was trimmed',
    );
    assert.deepEqual(payloads(await readAll(bus, all[7]?.position)), numbers(2, 8));
    await bus.trim(all[2]?.position as Position);
    assert.deepEqual(
      payloads(await readAll(bus)),
      numbers(4, 6),
      'a trim to an older position forgets nothing',
    );
    await bus.trim(all[9]?.position as Position);
    assert.deepEqual(await readAll(bus), []);
    await bus.append('more');
    assert.deepEqual(payloads(await readAll(bus, all[9]?.position)), ['more']);
  });

  fixtureTest(
    'a request is answered once, by one of those who serve, each of whom gets some',
    async (fixture) => {
      const asker = await fixture.member();
      const counts = [0, 0];
      for (const i of [0, 1]) {
        const server = await fixture.member();
        await server.bus.serve((payload) => {
          counts[i] = (counts[i] ?? 0) + 1;
          return `${payload}!`;
        });
      }
      const asked = ['', '\n', '😀', 'x'.repeat(100_000), ...numbers(200)];
      const answers: string[] = [];
      for (let i = 0; i < asked.length; i += 20) {
        answers.push(
          ...(await Promise.all(
            asked.slice(i, i + 20).map((payload) => asker.bus.request(payload, PATIENCE_MS)),
          )),
        );
      }
      assert.deepEqual(
        answers,
        asked.map((payload) => `${payload}!`),
      );
      assert.equal((counts[0] ?? 0) + (counts[1] ?? 0), asked.length);
      assert.ok(Math.min(...counts) > 0, `${counts}`);
    },
  );

  fixtureTest('requests of several askers are not mixed up', async (fixture) => {
    const server = await fixture.member();
    await server.bus.serve((payload) => payload);
    const askers = await Promise.all([fixture.member(), fixture.member(), fixture.member()]);
    await Promise.all(
      askers.map(async ({ bus }, i) => {
        for (let n = 0; n < 20; n++) assert.equal(await bus.request(`${i}-${n}`, PATIENCE_MS), `${i}-${n}`);
      }),
    );
  });

  fixtureTest(
    'a request that nobody serves is a time-out; one that waits is answered when somebody comes to serve',
    async (fixture) => {
      const asker = await fixture.member();
      await assert.rejects(asker.bus.request('lost', 60), RequestTimeout);
      const waiting = asker.bus.request('found', PATIENCE_MS);
      const server = await fixture.member();
      await server.bus.serve((payload) => payload);
      assert.equal(await waiting, 'found');
    },
  );

  fixtureTest(
    'a server that dies loses nobody but its own requests, and none where they can be given to another',
    async (fixture) => {
      const asker = await fixture.member();
      const doomed = await fixture.member();
      await doomed.bus.serve((payload) => payload);
      assert.equal(await asker.bus.request('before', PATIENCE_MS), 'before');
      await doomed.die();
      const successor = await fixture.member();
      const waiting = asker.bus.request('after', PATIENCE_MS);
      await successor.bus.serve((payload) => payload);
      assert.equal(await waiting, 'after');
    },
  );

  fixtureTest('after close nothing is delivered', async (fixture) => {
    const one = await fixture.member();
    const two = await fixture.member();
    const heard: string[] = [];
    await one.bus.subscribe('a', (payload) => heard.push(payload));
    const marks: string[] = [];
    await two.bus.subscribe('a', (payload) => marks.push(payload));
    await one.bus.close();
    await two.bus.publish([{ channel: 'a', payload: 'x' }]);
    await until(() => marks.length === 1, 'the other one hears it');
    assert.deepEqual(heard, []);
  });
}

export { after, numbers, payloads, readAll, until };
