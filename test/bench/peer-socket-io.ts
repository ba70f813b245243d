import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

/*
 * The peer: what a team would build with the usual parts. Socket.IO with its Redis adapter, two workers, every message
 * inserted into SQLite with synchronous=FULL before it is passed on. One insert per message, no secondary index, no
 * login, no checks, WebSocket only: the cheapest honest form of it. A client that was away gets nothing of what it missed.
 */

const WORKERS = 2;
const { PORT, DATABASE_PATH, REDIS_PORT } = process.env;

type Posted = { readonly to: string; readonly message: string };

function primary(): void {
  process.title = 'socket.io: primary';
  prepare(openDatabase());
  let listening = 0;
  let stopping = false;
  cluster.on('listening', () => {
    listening += 1;
    if (listening === WORKERS) process.send?.('listening');
  });
  cluster.on('exit', () => {
    if (!stopping) cluster.fork();
  });
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => {
    stopping = true;
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
    process.exit(0);
  });
  for (let worker = 0; worker < WORKERS; worker += 1) cluster.fork();
}

function worker(): void {
  process.title = `socket.io: worker ${cluster.worker?.id}`;
  const database = openDatabase();
  const insert = database.prepare<[string, string, string]>(
    'INSERT INTO messages (sender, receiver, message) VALUES (?, ?, ?)',
  );
  const publisher = new Redis({ host: '127.0.0.1', port: Number(REDIS_PORT) });
  const http = createServer();
  const io = new Server(http, {
    transports: ['websocket'],
    serveClient: false,
    adapter: createAdapter(publisher, publisher.duplicate()),
  });
  io.on('connection', (socket) => {
    const user = String(socket.handshake.auth.user_id);
    void socket.join(user);
    socket.on('message', ({ to, message }: Posted) => {
      const { lastInsertRowid } = insert.run(user, to, message);
      io.to([to, user]).emit('message', { id: lastInsertRowid, from: user, to, message });
    });
  });
  http.listen(Number(PORT), '127.0.0.1');
}

function openDatabase(): Database.Database {
  const database = new Database(DATABASE_PATH, { timeout: 10_000 });
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  return database;
}

function prepare(database: Database.Database): void {
  database.exec(`CREATE TABLE messages (
    id INTEGER PRIMARY KEY, sender TEXT, receiver TEXT, message TEXT, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP)`);
  database.close();
}

if (cluster.isPrimary) primary();
else worker();
