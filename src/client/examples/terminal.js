// Chat in a terminal: node node_modules/parley/examples/terminal.js http://localhost:8888 alice wonderland bob
// Plain JavaScript: Node does not strip the types of what is in node_modules.
import { createInterface } from 'node:readline';
import { createClient } from 'parley/client';

const [url = 'http://localhost:8888', me = 'alice', password = 'wonderland', peer = 'bob'] =
  process.argv.slice(2);
const client = createClient({ url });
// Control characters in a message could rewrite what the terminal shows, and a line that begins like ours could pose as a message.
const plain = (text) => text.replace(/\p{Cc}/gu, (control) => (control === '\n' ? '\n  ' : '\ufffd'));
const show = ({ from, message }) => console.log(plain(`${from}: ${message}`));
client.on('message', show);
client.on('state', ({ name }) => console.log(`[${name}]`));
await client.register(me, password).catch((error) => {
  if (error.code !== 'user_exists') throw error; // The name is taken: by us, and then the login works.
});
await client.login(me, password);
client.connect();
await client.online();
for (const message of (await client.history(peer)).messages) show(message);
const sends = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue;
  client.typing(peer);
  const sent = client.send(peer, line).catch(({ message }) => console.log(`[${line}: ${message}]`));
  sends.push(sent);
  if (client.outbox.length >= 500) await sent; // A file comes faster than it is sent, and the outbox has a limit.
}
// The last lines may not be acknowledged yet. A server that is gone is not waited for: closing rejects what is left.
const patience = setTimeout(() => client.close(), 10_000);
await Promise.all(sends);
clearTimeout(patience);
client.close();
setTimeout(() => process.exit(), 1_000).unref(); // A socket whose server is frozen would keep the process.
