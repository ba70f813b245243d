import type { z } from 'zod';
import { ParleyError } from '../../contract/errors.ts';
import { basicClientFrame, type ClientFrame, clientFrame } from '../../contract/frames.ts';
import { clientId } from '../../contract/values.ts';
import { parseJsonObject } from '../../core/json.ts';

/** A refused frame, with its type and client_id if they could be read (rule M5). */
export class FrameError extends ParleyError {
  readonly type: unknown;
  readonly clientId: string | undefined;

  constructor(error: ParleyError, frame: { readonly type?: unknown; readonly client_id?: unknown } = {}) {
    super(error.code, error.message);
    this.type = frame.type;
    this.clientId = clientId.safeParse(frame.client_id).data;
  }
}

/**
 * Parses a client's frame.
 * @param full whether the socket speaks the full protocol
 * @throws FrameError invalid_json | invalid_frame | unknown_type | invalid_message
 */
export function parseFrame(text: string, full: boolean): ClientFrame {
  let value: Record<string, unknown>;
  try {
    value = parseJsonObject(text);
  } catch (error) {
    const known = error as ParleyError;
    throw new FrameError(
      known.code === 'invalid_json' ? known : new ParleyError('invalid_frame', known.message),
    );
  }
  const parsed = (full ? clientFrame : basicClientFrame).safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FrameError(refusal(value, parsed.error.issues[0]), value);
}

function refusal(value: Record<string, unknown>, issue: z.core.$ZodIssue | undefined): ParleyError {
  const [field] = issue?.path ?? [];
  if (issue?.code === 'invalid_union' && field === 'type') {
    const { type } = value;
    if (typeof type !== 'string') return new ParleyError('invalid_frame', "A frame needs a 'type'.");
    return new ParleyError('unknown_type', `There is no frame type '${type.slice(0, 32)}' here.`);
  }
  if (value['type'] === 'message' && field === 'message') return new ParleyError('invalid_message');
  return new ParleyError(
    'invalid_frame',
    `'${String(field ?? 'frame')}': ${issue?.message ?? 'is not valid'}.`,
  );
}
