export type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly href: string };

const CANDIDATE = /\b(?:https?:\/\/|www\.)[^\s<>"'`\u200b-\u200f\u202a-\u202e\u2066-\u2069]+/giu;
/** An address up to the end of its host, which consists of letters and digits: a symbol or a blank in it may look like its end. */
const HOST = /^(?:https?:\/\/|www\.)[[\p{L}\p{M}\p{N}.:_%\[\]\-]--\p{DI}]*(?:[\/?#\\]|$)/iv;
/** Punctuation that ends the sentence, not the address. */
const TRAILING = '.,:;!?…*_~';
const BRACKETS = ['()', '[]', '{}'] as const;

/** Splits a text into plain parts and web addresses. Only `http` and `https` ever become links. */
export function segments(text: string): readonly Segment[] {
  const found: Segment[] = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const shown = trim(match[0]);
    const href = toHref(shown);
    if (href === null) continue;
    if (match.index > end) found.push({ kind: 'text', text: text.slice(end, match.index) });
    found.push({ kind: 'link', text: shown, href });
    end = match.index + shown.length;
  }
  if (end < text.length) found.push({ kind: 'text', text: text.slice(end) });
  return found;
}

function trim(candidate: string): string {
  let end = candidate.length;
  /** How many more closing than opening brackets there are, by closing bracket. */
  const surplus = new Map(
    BRACKETS.map(([opening, closing]) => [closing, count(candidate, closing!) - count(candidate, opening!)]),
  );
  for (; end > 0; end--) {
    const last = candidate[end - 1]!;
    if (TRAILING.includes(last)) continue;
    // A surplus bracket closes one that was opened before the address.
    const left = surplus.get(last) ?? 0;
    if (left <= 0) break;
    surplus.set(last, left - 1);
  }
  return candidate.slice(0, end);
}

const count = (text: string, char: string): number => text.split(char).length - 1;

function toHref(shown: string): string | null {
  const address = /^www\./i.test(shown) ? `https://${shown}` : shown;
  // Safari 17 has no URL.parse, and an exception here would break the whole screen.
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  // An address with a user before the host is usually a disguise.
  if (url.username !== '' || url.password !== '' || url.hostname === '') return null;
  if (!HOST.test(shown)) return null;
  return url.href;
}
