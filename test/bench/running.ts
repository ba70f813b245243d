import type { Login, Protocol } from './dialect.ts';

/** A system under measurement. */
export type Running = {
  readonly port: number;
  readonly protocol: Protocol;
  /** Roots of all process trees that belong to it. */
  readonly roots: readonly number[];
  /** Role of the processes that hold the sockets. */
  readonly socketRole: string;
  /** Logins of the first `count` users. */
  logins(count: number): Promise<Login[]>;
  stop(): Promise<void>;
};

/** Ids of all systems' users: one length, so that frames have one length. */
export function userIds(count: number): string[] {
  return Array.from({ length: count }, (_, user) => `user-${`${user}`.padStart(5, '0')}`);
}
