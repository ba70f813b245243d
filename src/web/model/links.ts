export type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly href: string };

const CANDIDATE = /\b(?:https?:\/\/|www\.)[^\s<>"'`\u200b-\u200f\u202a-\u202e\u2066-\u2069]+/giu;
/** Punctuation that ends the sentence, not the address. */
const TRAILING = /[.,:;!?…*_~]+$/u;

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
  let shown = candidate;
  for (;;) {
    const before = shown;
    shown = shown.replace(TRAILING, '');
    // A bracket that was opened before the address closes after it.
    const last = shown.at(-1);
    const opening = last === ')' ? '(' : last === ']' ? '[' : last === '}' ? '{' : null;
    if (opening !== null && count(shown, last!) > count(shown, opening)) shown = shown.slice(0, -1);
    if (shown === before) return shown;
  }
}

const count = (text: string, char: string): number => text.split(char).length - 1;

function toHref(shown: string): string | null {
  const url = URL.parse(/^www\./i.test(shown) ? `https://${shown}` : shown);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return null;
  // An address that names a user before the host is a disguise more often than not.
  if (url.username !== '' || url.password !== '' || url.hostname === '') return null;
  return url.href;
}
