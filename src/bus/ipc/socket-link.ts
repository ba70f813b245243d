import type { Socket } from 'node:net';
import { deserialize, Serializer } from 'node:v8';
import type { Link } from './items.ts';

const LENGTH_BYTES = 4;
const NO_LENGTH = Buffer.alloc(LENGTH_BYTES);

/** `bytes`: may wait for the other end to read them. With more, the link ends, and `exceeded` is called. */
export type Backlog = { readonly bytes: number; exceeded(): void };

/** A link over a socket. A message is its length in bytes (4 bytes, big-endian) and the items as V8 serializes them. */
export function socketLink<Out, In>(socket: Socket, backlog?: Backlog): Link<Out, In> {
  socket.setNoDelay(true);
  // Its `close` follows, and says the same.
  socket.on('error', () => {});
  return {
    send: (items) => {
      if (!socket.writable) return;
      if (backlog === undefined || socket.writableLength <= backlog.bytes) socket.write(encode(items));
      else {
        socket.destroy();
        backlog.exceeded();
      }
    },
    onItems: (listener) => {
      const decode = decoder((body) => listener(deserialize(body)));
      socket.on('data', decode).resume();
    },
  };
}

function encode(items: unknown): Buffer {
  const serializer = new Serializer();
  serializer.writeRawBytes(NO_LENGTH);
  serializer.writeHeader();
  serializer.writeValue(items);
  const message = serializer.releaseBuffer();
  message.writeUInt32BE(message.length - LENGTH_BYTES);
  return message;
}

/** @returns takes the stream in pieces of any size, and calls `onBody` with each message's body */
function decoder(onBody: (body: Buffer) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let bytes = 0;
  let wanted = LENGTH_BYTES;
  return (chunk) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < wanted) return;
    let data = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    for (wanted = lengthOf(data); data.length >= wanted; wanted = lengthOf(data)) {
      onBody(data.subarray(LENGTH_BYTES, wanted));
      data = data.subarray(wanted);
    }
    chunks = data.length === 0 ? [] : [data];
    bytes = data.length;
  };
}

/** Length of the first message with its prefix, as far as that is known. */
const lengthOf = (data: Buffer): number =>
  data.length < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + data.readUInt32BE();
