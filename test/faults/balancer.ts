import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ParleyNode } from './node.ts';

const CHECK_EVERY_MS = 300;

/** A load balancer as it stands before real nodes: new connections go, in turn, to those whose `/readyz` says yes. */
export class Balancer {
  readonly #nodes: readonly ParleyNode[];
  readonly #server = createServer((near) => this.#accept(near));
  readonly #sockets = new Set<Socket>();
  #ready: readonly ParleyNode[];
  #checks: NodeJS.Timeout | undefined;
  #turn = 0;

  constructor(nodes: readonly ParleyNode[]) {
    this.#nodes = nodes;
    this.#ready = nodes;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    this.#checks = setInterval(() => void this.#check(), CHECK_EVERY_MS);
    await new Promise<void>((listening) => this.#server.listen(0, '127.0.0.1', listening));
  }

  async stop(): Promise<void> {
    clearInterval(this.#checks);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
  }

  async #check(): Promise<void> {
    const answers = await Promise.all(this.#nodes.map((node) => node.ready()));
    this.#ready = this.#nodes.filter((_, i) => answers[i] === true);
  }

  #accept(near: Socket): void {
    const turn = this.#turn++;
    const nodes = this.#ready.map((_, i, ready) => ready[(turn + i) % ready.length] as ParleyNode);
    this.#keep(near);
    this.#pass(near, nodes);
  }

  /** To the first of them that takes the connection. */
  #pass(near: Socket, [node, ...others]: readonly ParleyNode[]): void {
    if (node === undefined) {
      near.destroy();
      return;
    }
    const far = connect(node.port, '127.0.0.1');
    const refused = (): void => this.#pass(near, others);
    far.once('error', refused);
    far.once('connect', () => {
      far.off('error', refused);
      this.#keep(far);
      near.pipe(far);
      far.pipe(near);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroySoon());
    });
  }

  #keep(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on('error', () => {});
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
