/**
 * A request's path and query. The address may be absolute, as for a proxy (http://host/ws), and its host need not be one: Koa would
 * throw where it parses such an address, as it would at some with a fragment.
 */
export function localAddress(asked = '/'): string {
  const rest = asked.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').replace(/#.*/, '');
  return /^[/*]/.test(rest) ? rest : `/${rest}`;
}
