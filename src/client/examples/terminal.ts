// Chat in a terminal: node terminal.ts http://localhost:8888 alice secret bob
import { createInterface } from 'node:readline';
import { createClient } from 'parley/client';

const [url = 'http://localhost:8888', me = 'alice', password = 'secret', peer = 'bob'] =
  process.argv.slice(2);
const client = createClient({ url });
client.on('message', ({ from, message }) => console.log(`${from}: ${message}`));
client.on('state', ({ name }) => console.log(`[${name}]`));
await client.register(me, password).catch(() => {}); // The name may be taken: by us, and then the login works.
await client.login(me, password);
client.connect();
await client.online();
for (const { from, message } of (await client.history(peer)).messages) console.log(`${from}: ${message}`);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  client.typing(peer);
  if (line !== '') client.send(peer, line).catch(({ message }) => console.log(`[not sent: ${message}]`));
});
lines.on('close', () => client.close());
