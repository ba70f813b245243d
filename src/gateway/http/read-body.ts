import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { ParleyError } from '../../contract/errors.ts';
import { LIMITS } from '../../contract/limits.ts';
import { parseJsonObject } from '../../core/json.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The request's body as a JSON object, whatever its Content-Type (rule H1).
 * @param whenEmpty replaces an empty body
 * @throws ParleyError invalid_json | invalid_request | request_too_large
 */
export async function readJsonBody(
  request: IncomingMessage,
  whenEmpty = '',
): Promise<Record<string, unknown>> {
  let body: Buffer;
  try {
    body = await getRawBody(request, {
      limit: LIMITS.requestBytes,
      length: request.headers['content-length'] ?? null,
    });
  } catch (error) {
    // To end the connection over the unread rest would reset it: the client might never see the answer. `requestTimeout` bounds it.
    request.resume();
    if ((error as { type?: string }).type === 'entity.too.large') throw new ParleyError('request_too_large');
    throw new ParleyError('invalid_request', 'The request body did not arrive whole.');
  }
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new ParleyError('invalid_json');
  }
  return parseJsonObject(text || whenEmpty);
}
