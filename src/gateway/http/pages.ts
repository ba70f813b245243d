import { ROUTES } from '../../contract/http.ts';

export const STYLE = `
:root { color-scheme: light dark; --text: light-dark(#1d232b, #e6e9ee); --soft: light-dark(#5b6672, #98a3b0);
  --line: light-dark(#dfe4ea, #2c333c); --back: light-dark(#fbfcfd, #14181d); --accent: light-dark(#0b62c4, #6cb0ff); }
* { box-sizing: border-box; }
body { margin: 0; padding: 3rem 1.5rem; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; color: var(--soft); }
a { color: var(--accent); }
table { width: 100%; border-collapse: collapse; }
td, th { text-align: left; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
code { font: .9em ui-monospace, monospace; overflow-wrap: break-word; }
@media (max-width: 22rem) { code { overflow-wrap: anywhere; } }
`;

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><link rel="stylesheet" href="docs.css"></head><body><main>${body}</main></body></html>
`;

/** The page at `/` if the web app is not built. */
export const homePage = (): string =>
  page(
    'Parley',
    `<h1>Parley is running</h1>
<p>This is a chat server. Its interfaces are documented at <a href="docs">/docs</a>,
for programs at <a href="openapi.json">/openapi.json</a> (HTTP) and <a href="asyncapi.json">/asyncapi.json</a> (WebSocket);
<a href="readyz">/readyz</a> says whether it works.</p>`,
  );

/** The page at `/docs`: the HTTP routes, and where the rest is documented. */
export const docsPage = (): string =>
  page(
    'Parley: interfaces',
    `<h1>Interfaces</h1>
<p>Schemas: <a href="openapi.json">OpenAPI 3.1</a> for HTTP, <a href="asyncapi.json">AsyncAPI 3</a> for the WebSocket at <code>/ws</code>.</p>
<h2>HTTP</h2>
<table><thead><tr><th>Route</th><th>What it does</th><th>Token</th></tr></thead><tbody>
${ROUTES.map(({ method, path, summary, auth }) => `<tr><td><code>${method.toUpperCase()} ${path}</code></td><td>${summary}</td><td>${auth ? 'yes' : ''}</td></tr>`).join('\n')}
</tbody></table>
<p>Bodies and answers are JSON. An error is <code>{"error":"a sentence","code":"…"}</code>. <code>POST /login</code> returns the token; send it
in the header <code>Authorization: Bearer …</code>. A server with <code>AUTH=open</code> has no tokens: give <code>user_id</code> in the body or
the query instead.</p>
<h2>WebSocket</h2>
<p>Connect to <code>/ws</code>, with the subprotocol <code>parley.v1</code> for the full protocol. First send
<code>{"type":"connect","user_id":"…","token":"…"}</code>. Then <code>{"type":"message","to":"…","message":"…"}</code> sends a message. It
comes back as a <code>message</code> with an <code>id</code> once it is on disk. If it is refused, you get an <code>error</code>.</p>`,
  );
