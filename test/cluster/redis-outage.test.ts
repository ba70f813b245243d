import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ClusterAnswer } from '../../src/ops/cluster-view.ts';
import { freePort } from '../support/ports.ts';
import { startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { startNode, temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

type Outage = {
  readonly name: string;
  begin(redis: RedisServer): Promise<unknown>;
  end(redis: RedisServer): Promise<unknown>;
  readonly reason: RegExp;
  /** parley_redis_up, parley_ready, parley_writer_leads; the lease can be had of a full Redis, too. */
  readonly gauges: string;
};

const OUTAGES: readonly Outage[] = [
  {
    name: 'is killed',
    begin: (redis) => redis.kill(),
    end: (redis) => redis.start(),
    reason: /ECONNREFUSED/,
    gauges: '0 0 0',
  },
  {
    name: 'is full',
    begin: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
    end: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
    reason: /^OOM command not allowed/,
    gauges: '0 0 1',
  },
];

for (const [i, { name, begin, end, reason, gauges }] of OUTAGES.entries())
  test(`G10: a Redis that ${name} shows in one line of the log, in metrics, in health and on the cluster page, until it is back`, async (t) => {
    const redis = await startRedis(t);
    const port = await freePort();
    const { node } = await startNode(t, {
      REDIS_URL: redis.url,
      DATABASE_PATH: `${folder}/chat-${i}.db`,
      ADMIN_PORT: String(port),
      WORKERS: '2',
    });
    const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
    const state = async () => {
      const metrics = await (await get('/metrics')).text();
      const gauge = (metric: string): number =>
        Number(new RegExp(`^${metric} (\\d)$`, 'm').exec(metrics)?.[1]);
      const { problems } = (await (await get('/admin/cluster.json')).json()) as ClusterAnswer;
      return {
        status: (await get('/readyz')).status,
        gauges: ['parley_redis_up', 'parley_ready', 'parley_writer_leads'].map(gauge).join(' '),
        problems: problems.join('\n'),
      };
    };
    type State = Awaited<ReturnType<typeof state>>;
    const is = (what: string, right: (now: State) => boolean): Promise<void> => {
      let last: State | undefined;
      return waitFor(
        async () => {
          last = await state();
          return right(last);
        },
        30_000,
        () => `not ${what}: ${JSON.stringify(last)}\n${node.output}`,
      );
    };
    const isWell = (): Promise<void> =>
      is('well', (now) => now.status === 200 && now.gauges === '1 1 1' && now.problems === '');
    await isWell();
    await begin(redis);
    await is('in trouble', (now) => {
      const told = [/: Redis fails: /, /2 of 2 gateways not ready: /, /^no gateway is ready/m];
      const known =
        now.status === 503 && now.gauges === gauges && told.every((words) => words.test(now.problems));
      return known && node.events('redis_lost').length > 0; // Which waits for a second look.
    });
    await end(redis);
    await isWell();
    await is('told to be back', () => node.events('redis_back').length > 0);
    const lost = node.events('redis_lost').filter((line) => reason.test(String(line['reason'])));
    assert.equal(lost.length, 1, node.output);
    assert.equal(node.events('redis_lost').length, 1, node.output);
    assert.equal(node.events('redis_back').length, 1, node.output);
  });
