import { type ChildProcess, fork } from 'node:child_process';
import Database from 'better-sqlite3';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { CHECKPOINT_PAGES } from '../../src/db/open.ts';

/*
 * The floor of whoever keeps messages: the same relay, which passes a message on once a second process has committed it to
 * SQLite with synchronous=FULL, in one transaction with all that arrived meanwhile. No ids, no login, no checks, no index,
 * nothing for who was away; what is under way when a process dies is lost.
 */

type Frame =
  | { readonly type: 'connect'; readonly user_id: string }
  | { readonly type: 'message'; readonly to: string; readonly message: string };
type Message = { readonly from: string; readonly to: string; readonly message: string };

const { PORT, DATABASE_PATH, DURABLE_FLOOR_WRITER } = process.env;

function relay(): void {
  process.title = 'durable-floor: relay';
  const sockets = new Map<string, WebSocket>();
  const underWay: { readonly sender: WebSocket; readonly message: Message }[][] = [];
  let arrived: { readonly sender: WebSocket; readonly message: Message }[] = [];
  const writer = startWriter();
  writer.on('message', () => {
    for (const { sender, message } of underWay.shift() ?? []) {
      const out = JSON.stringify({ ...message, type: 'message' });
      sockets.get(message.to)?.send(out);
      sender.send(out);
    }
  });
  const hand = (): void => {
    underWay.push(arrived);
    writer.send(arrived.map(({ message }) => message));
    arrived = [];
  };
  const server = new WebSocketServer({ host: '127.0.0.1', port: Number(PORT) });
  server.on('connection', (socket) => {
    let user = '';
    socket.on('message', (data: RawData) => {
      const frame = JSON.parse(data.toString()) as Frame;
      if (frame.type === 'connect') {
        user = frame.user_id;
        sockets.set(user, socket);
        return;
      }
      if (arrived.length === 0) setImmediate(hand);
      arrived.push({ sender: socket, message: { from: user, to: frame.to, message: frame.message } });
    });
    socket.on('close', () => sockets.delete(user));
    socket.on('error', () => undefined);
  });
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => process.exit(0));
  server.on('listening', () => process.send?.('listening'));
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
