import type { ServerFrame } from './wire.ts';

const TYPES: Readonly<Record<ServerFrame['type'], true>> = {
  message: true,
  error: true,
  connected: true,
  page: true,
  read: true,
  typing: true,
  presence: true,
  closing: true,
  pong: true,
};

/**
 * The server is trusted to keep its contract, and a newer one may say more: what has an unknown type is skipped.
 * @throws SyntaxError if the text is not JSON
 */
export function parseFrame(text: string): ServerFrame | null {
  const frame: unknown = JSON.parse(text);
  if (typeof frame !== 'object' || frame === null || !('type' in frame)) return null;
  return typeof frame.type === 'string' && Object.hasOwn(TYPES, frame.type) ? (frame as ServerFrame) : null;
}
