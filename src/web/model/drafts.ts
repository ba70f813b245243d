import { nameHere } from './site.ts';
import { ownTab, read, write } from './storage.ts';

/** Unsent text, per conversation. It survives a look elsewhere, and a reload if the browser stores anything for the page. */
const drafts = new Map<string, string>();

const keyOf = (me: string, peer: string): string => nameHere(`draft:${JSON.stringify([me, peer])}`);

export function draftOf(me: string, peer: string): string {
  const key = keyOf(me, peer);
  return drafts.get(key) ?? read(ownTab, key) ?? '';
}

export function keepDraft(me: string, peer: string, text: string): void {
  const key = keyOf(me, peer);
  drafts.set(key, text);
  write(ownTab, key, text === '' ? null : text);
}
