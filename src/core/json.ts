import { ParleyError } from '../contract/errors.ts';
import { LIMITS } from '../contract/limits.ts';

/**
 * Parses a JSON object that came from outside, nested no deeper than LIMITS.jsonDepth.
 * @throws ParleyError invalid_json | invalid_request
 */
export function parseJsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  if (isDeep(text)) throw new ParleyError('invalid_json', `JSON may be nested ${LIMITS.jsonDepth} deep.`);
  try {
    value = JSON.parse(text);
  } catch {
    throw new ParleyError('invalid_json');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ParleyError('invalid_request', 'A JSON object is expected.');
  }
  return value as Record<string, unknown>;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = new Set(['{', '['].map((c) => c.charCodeAt(0)));
const CLOSE = new Set(['}', ']'].map((c) => c.charCodeAt(0)));

/** Nearly every frame is one flat object, which the first line sees at the speed of indexOf. */
function isDeep(text: string): boolean {
  if (text.indexOf('{', 1) === -1 && text.indexOf('[') === -1) return false;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === BACKSLASH) i++;
      else if (c === QUOTE) inString = false;
    } else if (c === QUOTE) inString = true;
    else if (OPEN.has(c)) {
      if (++depth > LIMITS.jsonDepth) return true;
    } else if (CLOSE.has(c)) depth--;
  }
  return false;
}
