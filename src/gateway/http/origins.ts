/** Origins whose pages may use the server: all, or those listed. */
export type Origins = '*' | readonly string[];

/** `Access-Control-Allow-Origin` for a request from `origin` (rule H3); empty if that is not listed. */
export function allowedOrigin(origins: Origins, origin: string | undefined): string {
  if (origins === '*') return '*';
  return origin !== undefined && origins.includes(origin) ? origin : '';
}

/** The same as headers, for answers written by hand. */
export function corsHeaders(origins: Origins, origin: string | undefined): Record<string, string> {
  const allowed = allowedOrigin(origins, origin);
  return {
    ...(allowed !== '' && { 'Access-Control-Allow-Origin': allowed }),
    ...(allowed !== '*' && { Vary: 'Origin' }),
  };
}
