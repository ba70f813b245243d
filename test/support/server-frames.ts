import type { Connected, Message } from '../../src/client/wire.ts';

/*
 * Frames as a server sends them, for a test to change a field or two of.
 */

export const connected = (frame: Partial<Connected> = {}): Connected => ({
  type: 'connected',
  user_id: 'alice',
  epoch: 'e1',
  head: 0,
  resync: false,
  heartbeat_ms: 25_000,
  limits: { message_units: 8_000, frame_bytes: 65_536, unanswered: 1_000 },
  ...frame,
});

export const stored = (id: number, frame: Partial<Message> = {}): Message => ({
  type: 'message',
  from: 'bob',
  to: 'alice',
  message: `message ${id}`,
  id,
  timestamp: '2026-01-31 12:00:00',
  client_id: `server-${id}`,
  ...frame,
});
