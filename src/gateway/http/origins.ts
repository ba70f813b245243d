/** Origins that browsers may use the server from: all, or those listed. */
export type Origins = '*' | readonly string[];

/** What `Access-Control-Allow-Origin` says to a request from `origin` (rule H3); empty where it is not a listed one. */
export function allowedOrigin(origins: Origins, origin: string | undefined): string {
  if (origins === '*') return '*';
  return origin !== undefined && origins.includes(origin) ? origin : '';
}

/** The same as headers, for answers that are written by hand. */
export function corsHeaders(origins: Origins, origin: string | undefined): Record<string, string> {
  const allowed = allowedOrigin(origins, origin);
  return {
    ...(allowed !== '' && { 'Access-Control-Allow-Origin': allowed }),
    ...(allowed !== '*' && { Vary: 'Origin' }),
  };
}
