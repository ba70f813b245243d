import type { Client, ClientOptions } from './types.ts';

export function createClient(_options: ClientOptions): Client {
  throw new Error('not written yet');
}
