import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from '../faults/history.ts';
import { outages, type Readiness, untruths } from '../faults/truthful.ts';

/** Six sends from second 0 on over a socket of node 2, acknowledged at `acknowledgedAt`; what `between` adds comes at second 3. */
function waited(acknowledgedAt: number, between: (history: History) => void = () => {}): History {
  let now = 0;
  const history = new History(() => now);
  const opened = { kind: 'opened', socket: 1, device: 'a/1', user: 'a', node: 2, worker: '' } as const;
  history.record({ ...opened, protocol: 'full', since: null });
  const send = { socket: 1, user: 'a', to: 'b', text: '' };
  for (let i = 0; i < 6; i++) history.record({ kind: 'invoked', clientId: `c${i}`, ...send });
  now = 3_000;
  between(history);
  now = acknowledgedAt;
  history.record({ kind: 'acknowledged', clientId: 'c0', id: 1, repeat: false, ...send });
  return history;
}

const every500 = (upto: number, ready: (at: number) => boolean | null): Readiness[] =>
  Array.from({ length: upto / 500 }, (_, i) => ({ at: i * 500, node: 2, ready: ready(i * 500) }));

test('G10 truthful: a node that goes on saying ready while no send is answered is found out', () => {
  const { events } = waited(12_000);
  assert.deepEqual(outages(events, 8_000), [{ node: 2, from: 0, to: 12_000, sends: 6 }]);
  assert.equal(
    untruths(
      events,
      every500(12_000, () => true),
    ).length,
    1,
  );
});

test('G10 truthful: a node that says so in time, or does not answer at all, tells no untruth', () => {
  const { events } = waited(12_000);
  assert.deepEqual(
    untruths(
      events,
      every500(12_000, (at) => at < 4_000),
    ),
    [],
  );
  assert.deepEqual(
    untruths(
      events,
      every500(12_000, (at) => (at < 4_000 ? true : null)),
    ),
    [],
  );
});

test('G10 truthful: a short wait is no outage, and another node is not blamed', () => {
  assert.deepEqual(outages(waited(3_000).events, 8_000), []);
  const elsewhere = every500(12_000, () => true).map((sample) => ({ ...sample, node: 1 }));
  assert.deepEqual(untruths(waited(12_000).events, elsewhere), []);
});

test('G10 truthful: a client that stops reading, or goes, tells nothing of its node from then on', () => {
  const pause = (history: History) => history.record({ kind: 'paused', socket: 1 });
  const unread = (history: History) => {
    pause(history);
    history.record({ kind: 'invoked', clientId: 'late', socket: 1, user: 'a', to: 'b', text: '' });
  };
  const close = (history: History) => history.record({ kind: 'closed', socket: 1, code: 1006, reason: '' });
  for (const between of [pause, unread, close]) {
    assert.deepEqual(outages(waited(12_000, between).events, 2_000), [
      { node: 2, from: 0, to: 3_000, sends: 6 },
    ]);
  }
});

test('G10 truthful: one client that stops reading does not hide what another one waits for', () => {
  const { events } = waited(12_000, (history) => {
    const other = { kind: 'opened', socket: 2, device: 'b/1', user: 'b', node: 2, worker: '' } as const;
    history.record({ ...other, protocol: 'full', since: null });
    history.record({ kind: 'invoked', clientId: 'd', socket: 2, user: 'b', to: 'a', text: '' });
    history.record({ kind: 'paused', socket: 1 });
  });
  assert.deepEqual(outages(events, 8_000), [{ node: 2, from: 0, to: 12_000, sends: 7 }]);
});

test('G10 truthful: what is sent when a client reads again counts again', () => {
  const { events } = waited(20_000, (history) => {
    history.record({ kind: 'paused', socket: 1 });
    history.record({ kind: 'resumed', socket: 1 });
    for (let i = 0; i < 5; i++)
      history.record({ kind: 'invoked', clientId: `r${i}`, socket: 1, user: 'a', to: 'b', text: '' });
  });
  assert.deepEqual(outages(events, 8_000), [{ node: 2, from: 3_000, to: 20_000, sends: 5 }]);
});
