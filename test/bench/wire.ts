import { randomBytes } from 'node:crypto';

/*
 * WebSocket framing for the load generator, by hand: it sends frames made beforehand and looks at bytes, so that one
 * process can load a server without being the bottleneck.
 */

/** Clients must mask. One key for all frames is as much work for the server as a random one. */
const KEY = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

export const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const;

export function clientFrame(opcode: number, payload: Buffer): Buffer {
  const header = payload.length < 126 ? 6 : 8;
  if (payload.length > 65_535) throw new RangeError('client frames are up to 64 KiB');
  const frame = Buffer.alloc(header + payload.length);
  frame[0] = 0x80 | opcode;
  if (header === 6) {
    frame[1] = 0x80 | payload.length;
  } else {
    frame[1] = 0x80 | 126;
    frame.writeUInt16BE(payload.length, 2);
  }
  frame.set(KEY, header - 4);
  for (let at = 0; at < payload.length; at += 1) frame[header + at] = payload[at]! ^ KEY[at & 3]!;
  return frame;
}

export function textFrame(text: string): Buffer {
  return clientFrame(OPCODE.text, Buffer.from(text));
}

const HEX = Buffer.from('0123456789abcdef');

/** Marks the number of a message in its text. No other part of a frame contains it. */
const MARK = 0x23;
const NUMBER_DIGITS = 8;
/** UUIDv7 with a constant random part: `tttttttt-tttt-7rrr-8rrr-nnnnnnnnnnnn`, so that ids ascend in time. */
const RUN = randomBytes(3).toString('hex');
const UUID = `00000000-0000-7${RUN.slice(0, 3)}-8${RUN.slice(3)}-000000000000`;

/**
 * A message frame made once per sender, into which each send writes its number (and the time into its `client_id`).
 */
export class MessageTemplate {
  readonly #frame: Buffer;
  readonly #header: number;
  readonly #number: number;
  readonly #uuid: number;

  /** `write` makes the frame's text from the message's text and its `client_id`. */
  constructor(textLength: number, write: (text: string, clientId: string) => string) {
    const text = `#${'0'.repeat(NUMBER_DIGITS)} ${'so it goes on and on and on '.repeat(400)}`.slice(
      0,
      textLength,
    );
    const payload = Buffer.from(write(text, UUID));
    this.#frame = clientFrame(OPCODE.text, payload);
    this.#header = this.#frame.length - payload.length;
    this.#number = payload.indexOf(MARK) + 1;
    this.#uuid = payload.indexOf(UUID);
  }

  /** A frame of its own, since the socket may keep it until it can be written. */
  frame(number: number, nowMs: number): Buffer {
    const copy = Buffer.allocUnsafe(this.#frame.length);
    this.#frame.copy(copy);
    this.#hex(copy, this.#number, number, NUMBER_DIGITS);
    if (this.#uuid >= 0) {
      this.#hex(copy, this.#uuid, Math.floor(nowMs / 0x10000), 8);
      this.#hex(copy, this.#uuid + 9, nowMs & 0xffff, 4);
      this.#hex(copy, this.#uuid + 28, number, 8);
    }
    return copy;
  }

  #hex(frame: Buffer, at: number, value: number, digits: number): void {
    let rest = value >>> 0;
    for (let digit = digits - 1; digit >= 0; digit -= 1) {
      const place = at + digit;
      frame[this.#header + place] = HEX[rest & 15]! ^ KEY[place & 3]!;
      rest >>>= 4;
    }
  }
}

/** The number of the message in `buffer[start, end)`, or -1. */
export function numberIn(buffer: Buffer, start: number, end: number): number {
  for (let at = start; at < end; at += 1) {
    if (buffer[at] === MARK) return at + NUMBER_DIGITS < end ? parseHex(buffer, at + 1) : -1;
  }
  return -1;
}

function parseHex(buffer: Buffer, start: number): number {
  let value = 0;
  for (let at = start; at < start + NUMBER_DIGITS; at += 1) {
    const byte = buffer[at]!;
    value = value * 16 + (byte < 58 ? byte - 48 : byte - 87);
  }
  return value;
}

/** The number in the `client_id` of a frame that has no text (an error), or -1. */
export function numberInClientId(clientId: string): number {
  return clientId.length === UUID.length ? Number.parseInt(clientId.slice(28), 16) : -1;
}
