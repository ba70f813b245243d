import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Cleanups } from './cleanups.ts';

export type PathProxy = {
  /** Of what stands behind it: `http://127.0.0.1:4711/chat/`. */
  readonly url: string;
  /** Paths that were asked for and lie elsewhere. */
  readonly strayed: readonly string[];
};

/** A proxy that has a server under a path of its own, as with nginx's `location /chat/ { proxy_pass http://parley/; }`. */
export async function startPathProxy(cleanups: Cleanups, server: string): Promise<PathProxy> {
  const strayed: string[] = [];
  const sockets = new Set<Duplex>();
  const forward = (incoming: IncomingMessage) => {
    const path = /^\/chat(\/.*)/.exec(incoming.url ?? '')?.[1];
    if (path === undefined) strayed.push(incoming.url ?? '');
    const { method, headers } = incoming;
    return request(new URL(server), { method, headers, path: path ?? '/not/ours' });
  };
  const proxy = createServer((incoming, answer) => {
    const outgoing = forward(incoming);
    outgoing.on('error', () => answer.destroy());
    outgoing.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(outgoing);
  });
  proxy.on('upgrade', (incoming, near) => {
    sockets.add(near.on('error', () => {}));
    const outgoing = forward(incoming);
    outgoing.on('error', () => near.destroy());
    outgoing.on('response', () => near.destroy());
    outgoing.on('upgrade', (response, far) => {
      sockets.add(far.on('error', () => {}));
      const { rawHeaders } = response;
      const lines = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${rawHeaders[i + 1]}`] : []));
      near.write(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'));
      far.pipe(near).pipe(far);
    });
    outgoing.end();
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  cleanups.after(() => {
    for (const socket of sockets) socket.destroy();
    proxy.closeAllConnections();
    return new Promise<void>((closed) => proxy.close(() => closed()));
  });
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/chat/`, strayed };
}
