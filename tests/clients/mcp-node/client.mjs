// `@modelcontextprotocol/sdk`, as in its README. Each line of output reports an observation.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [, , url, token, scenario] = process.argv;
const tell = (event, data = '') => console.log(JSON.stringify({ event, data: `${data}` }));
const kind = error => [error.constructor.name, error.code].join(' ').trim();

// Reports the requests for the session's own stream, and when it is open.
async function watched(url, init) {
  const isStream = init.method === 'GET';
  if (isStream) tell('asks');
  const response = await fetch(url, init);
  if (isStream && response.ok) tell('listens');
  return response;
}

const headers = token === 'none' ? {} : { authorization: `Bearer ${token}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, fetch: watched });
const client = new Client({ name: 'tried', version: '1' });

async function call(name, args, options) {
  const onprogress = ({ progress, total }) => tell('progress', `${progress} of ${total}`);
  const result = await client.callTool({ name, arguments: args }, undefined, { onprogress, ...options });
  return result.content[0].text;
}

const outcome = () => call('roll', { dice: 1 }).then(() => 'answered', kind);

// Waits until the server is up, or down.
async function until(there) {
  const isThere = () => fetch(url).then(() => true, () => false);
  while (await isThere() !== there) await new Promise(then => setTimeout(then, 50));
}

const scenarios = {
  async works() {
    tell('tools', (await client.listTools()).tools.map(tool => tool.name).join(' '));
    tell('rolled', (await call('roll', { dice: 3 })).split(' ').length);
    tell('result', await call('count', { to: 3 }));
    await call('roll', { dice: 0 }).catch(error => tell('failed', kind(error)));
    const stop = new AbortController();
    const onprogress = ({ progress }) => progress === 2 && stop.abort('enough');
    await call('count', { to: 99 }, { onprogress, signal: stop.signal }).catch(() => tell('cancelled'));
  },
  async counts() {
    const options = { timeout: 3000, resetTimeoutOnProgress: true };
    await call('count', { to: 20 }, options).then(text => tell('result', text), error => tell('failed', kind(error)));
    tell('lost', await outcome());
  },
  async stays() {
    tell('outcome', await outcome());
    await until(false);
    tell('away');
    await until(true);
    tell('outcome', await outcome());
  },
};

try {
  await client.connect(transport);
  tell('connected');
} catch (error) {
  tell('refused', kind(error));
  process.exit();
}
await scenarios[scenario]();
