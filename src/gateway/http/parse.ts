import type { z } from 'zod';
import { ParleyError } from '../../contract/errors.ts';

/** Parses a body or a query string with its schema. @throws ParleyError invalid_request, naming the first bad field */
export function parseFields<Schema extends z.ZodType>(
  body: Readonly<Record<string, unknown>>,
  schema: Schema,
): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ParleyError(
    'invalid_request',
    `'${issue?.path.join('.') ?? ''}': ${issue?.message ?? 'is not valid'}.`,
  );
}
