const TONES = 6;

function toneOf(name: string): number {
  let hash = 0;
  for (const char of name) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) >>> 0;
  // The low bits alone would give short names similar tones.
  return ((hash ^ (hash >>> 15)) >>> 2) % TONES;
}

function initialOf(name: string): string {
  const [first] = new Intl.Segmenter().segment(name);
  return (first?.segment ?? '?').toUpperCase();
}

type AvatarProps = { readonly name: string; readonly online?: boolean; readonly size?: 'small' | 'medium' };

/** Decorative: the name, and whether they are online, are beside it in words. */
export function Avatar({ name, online = false, size = 'medium' }: AvatarProps) {
  return (
    <span className={`avatar avatar-${size} tone-${toneOf(name)}`} aria-hidden="true">
      <span className="avatar-letter">{initialOf(name)}</span>
      {online && <span className="presence" />}
    </span>
  );
}
