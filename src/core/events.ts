/*
 * What the writer tells gateways. The writer makes each per-user event once, and gateways forward it to sockets without parsing
 * it: a line of numbers, then one ready frame per line (JSON text has no raw line feed).
 *
 *   m <prev> <at> <id> <id> …\n<frame>\n<frame>…  stored messages of the user; prev: the id before the first; at: when the
 *                                              oldest was accepted, Unix ms
 *   s\n<frame>                                 a signal (read mark, typing): may be lost, full protocol only
 *   x <version> <tokenId|*>                    tokens were revoked: close the sockets that hold this one, or one of a lower version
 */

export type UserEvent =
  | {
      readonly kind: 'messages';
      readonly prev: number;
      readonly at: number;
      readonly ids: readonly number[];
      readonly frames: readonly string[];
    }
  | { readonly kind: 'signal'; readonly frame: string }
  | { readonly kind: 'revoked'; readonly version: number; readonly tokenId: string | undefined };

export function encodeMessages(
  prev: number,
  at: number,
  ids: readonly number[],
  frames: readonly string[],
): string {
  return `m ${prev} ${at} ${ids.join(' ')}\n${frames.join('\n')}`;
}

export const encodeSignal = (frame: string): string => `s\n${frame}`;

export const encodeRevoked = (version: number, tokenId: string | undefined): string =>
  `x ${version} ${tokenId ?? '*'}`;

/** @returns undefined if this version does not know the payload */
export function decodeUserEvent(payload: string): UserEvent | undefined {
  switch (payload.charCodeAt(0)) {
    case 0x6d /* m */:
      {
        const headerEnd = payload.indexOf('\n');
        const numbers = payload.slice(2, headerEnd).split(' ');
        const prev = Number(numbers[0]);
        const at = Number(numbers[1]);
        const ids: number[] = [];
        let sum = prev + at;
        for (let i = 2; i < numbers.length; i++) {
          const id = Number(numbers[i]);
          sum += id;
          ids.push(id);
        }
        const body = payload.slice(headerEnd + 1);
        const frames = ids.length === 1 ? [body] : body.split('\n');
        // A single NaN makes the sum NaN.
        if (headerEnd < 0 || Number.isNaN(sum) || frames.length !== ids.length) return undefined;
        return { kind: 'messages', prev, at, ids, frames };
      }
    case 0x73 /* s */:
      return { kind: 'signal', frame: payload.slice(2) };
    case 0x78 /* x */:
      {
        const [, version, tokenId] = payload.split(' ');
        return { kind: 'revoked', version: Number(version), tokenId: tokenId === '*' ? undefined : tokenId };
      }
    default:
      return undefined;
  }
}

/**
 * The writer's heartbeat, heard by every gateway. It proves that commit and pub/sub work (G10), and lets gateways find events
 * that were lost, including the last one before a silence (G5): `heads` names every user who got messages since the previous
 * beat.
 */
export type Beat = {
  /** Changes when nobody knows whose events may have been lost: with a new writer, and after a failed beat. */
  readonly term: string;
  /** Ascends by one within a term. */
  readonly seq: number;
  readonly epoch: string;
  readonly writer: { readonly ok: true } | { readonly ok: false; readonly reason: string };
  readonly heads: readonly (readonly [user: string, newestId: number])[];
  /** Users whose tokens were revoked since the previous beat. */
  readonly revoked: readonly string[];
};

/**
 * Decodes a beat. Absent lists are empty.
 * @returns undefined if the payload is not a beat that this version knows
 */
export function decodeBeat(payload: string): Beat | undefined {
  let beat: Partial<Beat> | null;
  try {
    beat = JSON.parse(payload);
  } catch {
    return undefined;
  }
  const { term, seq, epoch, writer, heads = [], revoked = [] } = beat ?? {};
  if (typeof term !== 'string' || typeof seq !== 'number' || typeof epoch !== 'string') return undefined;
  if (typeof writer?.ok !== 'boolean' || !Array.isArray(heads) || !Array.isArray(revoked)) return undefined;
  return { term, seq, epoch, writer, heads, revoked };
}
