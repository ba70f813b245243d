import { type ChildProcess, fork } from 'node:child_process';
import Database from 'better-sqlite3';
import type { WebSocket } from 'ws';
import { CHECKPOINT_PAGES } from '../../src/db/open.ts';
import { pass, serveRelay } from './relay.ts';

/*
 * The floor of whoever keeps messages: the same relay, which passes a message on once a second process has committed it to
 * SQLite with synchronous=FULL, in one transaction with all that arrived meanwhile. No ids, no login, no checks, no index,
 * nothing for who was away; what is under way when a process dies is lost.
 */

type Message = { readonly from: string; readonly to: string; readonly message: string };

const { DATABASE_PATH, DURABLE_FLOOR_WRITER } = process.env;

function relay(): void {
  process.title = 'durable-floor: relay';
  type Arrived = { readonly sender: WebSocket; readonly message: Message };
  const underWay: Arrived[][] = [];
  let arrived: Arrived[] = [];
  const writer = startWriter();
  writer.on('message', () => {
    for (const { sender, message } of underWay.shift() ?? [])
      pass(message.from, message.to, message.message, sender);
  });
  const hand = (): void => {
    underWay.push(arrived);
    writer.send(arrived.map(({ message }) => message));
    arrived = [];
  };
  serveRelay((from, to, message, sender) => {
    if (arrived.length === 0) setImmediate(hand);
    arrived.push({ sender, message: { from, to, message } });
  });
}

function startWriter(): ChildProcess {
  return fork(new URL(import.meta.url), {
    env: { ...process.env, DURABLE_FLOOR_WRITER: 'yes' },
    serialization: 'advanced',
  });
}

function writer(): void {
  process.title = 'durable-floor: writer';
  const database = new Database(DATABASE_PATH);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  // At SQLite's own 1,000, a checkpoint would fall into each measurement.
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  database.exec(`CREATE TABLE messages (
    id INTEGER PRIMARY KEY, sender TEXT, receiver TEXT, message TEXT, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP)`);
  const insert = database.prepare<[string, string, string]>(
    'INSERT INTO messages (sender, receiver, message) VALUES (?, ?, ?)',
  );
  const commit = database.transaction((batches: readonly (readonly Message[])[]) => {
    for (const { from, to, message } of batches.flat()) insert.run(from, to, message);
  });
  let arrived: (readonly Message[])[] = [];
  process.on('message', (batch: readonly Message[]) => {
    if (arrived.length === 0) {
      setImmediate(() => {
        const batches = arrived;
        arrived = [];
        commit(batches);
        for (const _ of batches) process.send?.('committed');
      });
    }
    arrived.push(batch);
  });
  process.on('disconnect', () => process.exit(0));
}

if (DURABLE_FLOOR_WRITER === undefined) relay();
else writer();
