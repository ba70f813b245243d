import { nameHere } from './site.ts';
import { ownTab, read, write } from './storage.ts';

/** Unsent text, per conversation. It survives a look elsewhere, and a reload. */
const keyOf = (me: string, peer: string): string => nameHere(`draft:${JSON.stringify([me, peer])}`);

export const draftOf = (me: string, peer: string): string => read(ownTab, keyOf(me, peer)) ?? '';

export const keepDraft = (me: string, peer: string, text: string): void =>
  write(ownTab, keyOf(me, peer), text === '' ? null : text);
