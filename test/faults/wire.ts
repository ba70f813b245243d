/* The server's frames, as far as the load clients look into them. Written from SPEC.md, not taken from the server's code. */

export type MessageFrame = {
  type: 'message';
  from: string;
  to: string;
  message: string;
  id: number;
  client_id: string;
  repeat?: true;
};
export type Frame =
  | MessageFrame
  | { type: 'error'; code: string; error: string; retryable: boolean; client_id?: string }
  | { type: 'connected'; epoch: string; head: number; resync: boolean }
  | { type: 'page'; messages: MessageFrame[]; upto: number; more: boolean }
  | { type: 'closing'; code: string; error: string; reconnect_after_ms: number | null }
  | { type: 'pong' };
