import { createHash } from 'node:crypto';
import type { Config } from '../config/config.ts';

/** Settings on which a cluster's gateways must agree. They reveal less of a secret than any token, which also lets one test guesses. */
export type AgreedSettings = {
  readonly auth: Config['auth']['mode'];
  /** Fingerprints of the secrets: the first signs, all verify. Empty: the secret kept with the database. */
  readonly secrets: readonly string[];
};

/** @returns undefined for a node without gateways */
export function agreedSettings({ auth, gateways }: Config): AgreedSettings | undefined {
  if (gateways === 0) return undefined;
  return { auth: auth.mode, secrets: auth.mode === 'open' ? [] : auth.secrets.map(fingerprint) };
}

const fingerprint = (secret: string): string =>
  createHash('sha256').update(secret).digest('base64url').slice(0, 5);

/** Why gateways treat clients differently, in words: the first reason found of each kind. */
export function disagreements(gateways: readonly (AgreedSettings & { readonly node: string })[]): string[] {
  const words: string[] = [];
  const open = gateways.find(({ auth }) => auth === 'open');
  const closed = gateways.filter(({ auth }) => auth === 'required');
  const [first] = closed;
  if (open && first)
    words.push(
      `AUTH differs: ${open.node} lets everybody be anybody (open), ${first.node} wants tokens (required)`,
    );
  const unset = closed.find(({ secrets }) => secrets.length === 0);
  const set = closed.filter(({ secrets }) => secrets.length > 0);
  if (unset && set[0])
    words.push(
      `TOKEN_SECRET is set at ${set[0].node}, and not at ${unset.node}: unless it is the database's, they take no tokens of each other's`,
    );
  for (const { node, secrets } of set) {
    const stranger = set.find((other) => !other.secrets.includes(secrets[0] as string));
    if (stranger) return [...words, `TOKEN_SECRET differs: ${stranger.node} takes no tokens of ${node}'s`];
  }
  return words;
}
