// Stand-ins for GitHub, Google, Slack and Microsoft: the emulators of the `emulate` package, each behind a small door
// of ours that serves a vendor's paths where the emulator has chosen others, and that counts token requests.
//
// Prints one line of JSON when all listen. Ends with SIGTERM, or when its standard input is closed.

import { once } from 'node:events';
import { createServer, request } from 'node:http';

import { createEmulator } from 'emulate';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
// The emulators keep this very array, so that a callback can be registered while they run.
const redirectUris = [];
const app = (clientId) => ({
  client_id: clientId,
  client_secret: `${clientId}-secret`,
  name: 'Holdfast test app',
  redirect_uris: redirectUris,
});

// An emulator takes a bearer token it does not know for the first user of its seed, and would so hide a revoked or a
// mixed-up token. The first one we name is nobody, and iterating, as seeding does, leaves it out.
function users(...people) {
  const nobody = { login: 'nobody', email: 'nobody@example.com' };
  return Object.assign([nobody, ...people], { [Symbol.iterator]: () => people.values() });
}

const services = {
  github: {
    client: app('github-app'),
    seed: (client) => ({
      users: users(
        { login: 'octocat', name: 'The Octocat', email: 'octocat@example.com' },
        { login: 'hubot', name: 'Hubot', email: 'hubot@example.com' },
      ),
      oauth_apps: [client],
    }),
    token: '/login/oauth/access_token',
    moved: [],
  },
  google: {
    client: app('google-app'),
    seed: (client) => ({
      users: users({ email: 'ada@example.com', name: 'Ada' }, { email: 'grace@example.com', name: 'Grace' }),
      oauth_clients: [client],
    }),
    token: '/oauth2/token',
    moved: [
      // oauth2.googleapis.com and openidconnect.googleapis.com
      [/^\/(token|revoke)(?=$|\?)/, '/oauth2/$1'],
      [/^\/v1\/userinfo(?=$|\?)/, '/oauth2/v2/userinfo'],
    ],
  },
  slack: {
    client: app('slack-app'),
    seed: (client) => ({
      team: { name: 'Acme', domain: 'acme' },
      users: [
        { name: 'ada', real_name: 'Ada', email: 'ada@example.com' },
        { name: 'grace', real_name: 'Grace', email: 'grace@example.com' },
      ],
      channels: [{ name: 'general', topic: 'Everything' }],
      oauth_apps: [{ ...client, scopes: ['chat:write', 'channels:read', 'users:read'] }],
    }),
    token: '/api/oauth.v2.access',
    moved: [],
  },
  microsoft: {
    client: app('microsoft-app'),
    seed: (client) => ({
      users: users({ email: 'ada@example.com', name: 'Ada' }, { email: 'grace@example.com', name: 'Grace' }),
      oauth_clients: [client],
    }),
    token: '/oauth2/v2.0/token',
    // login.microsoftonline.com puts a tenant first
    moved: [[/^\/[^/?]+\/oauth2\/v2\.0\//, '/oauth2/v2.0/']],
  },
};

const counts = Object.fromEntries(Object.keys(services).map((name) => [name, 0]));
const emulators = {};

async function open(name) {
  const { client, seed, token, moved } = services[name];
  const door = await listen();
  const origin = `http://127.0.0.1:${door.address().port}`;
  const port = await freePort();
  emulators[name] = await createEmulator({
    service: name, port, baseUrl: origin, seed: { [name]: seed(client) },
  });
  door.on('request', (req, res) => {
    const path = moved.reduce((url, [from, to]) => url.replace(from, to), req.url);
    if (path.split('?')[0] === token) counts[name] += 1;
    admit(new URL(path, origin).searchParams.get('redirect_uri'));
    forward(req, res, port, path);
  });
  return { origin, client_id: client.client_id, client_secret: client.client_secret };
}

// Any loopback callback counts as registered: the tests' servers take any free port.
function admit(uri) {
  if (uri && URL.canParse(uri) && LOOPBACK.has(new URL(uri).hostname) && !redirectUris.includes(uri)) {
    redirectUris.push(uri);
  }
}

function forward(req, res, port, path) {
  const onward = request({ host: '127.0.0.1', port, path, method: req.method, headers: req.headers }, (reply) => {
    res.writeHead(reply.statusCode, reply.rawHeaders);
    reply.pipe(res);
  });
  onward.on('error', (error) => {
    console.error(error);
    res.destroy();
  });
  req.pipe(onward);
}

async function listen() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

// An emulator given a `baseUrl` reports that and not the port it took, so the port is chosen for it.
async function freePort() {
  const server = await listen();
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const opened = {};
for (const name of Object.keys(services)) opened[name] = await open(name);

const control = await listen();
control.on('request', (req, res) => {
  const reset = req.url.match(/^\/__reset\/(\w+)$/);
  if (req.method === 'POST' && reset && emulators[reset[1]]) emulators[reset[1]].reset();
  else if (req.url !== '/__counts') return res.writeHead(404).end();
  return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(counts));
});

const stop = () => process.exit(0);
process.once('SIGTERM', stop);
process.stdin.on('end', stop).resume();
console.log(JSON.stringify({ control: `http://127.0.0.1:${control.address().port}`, services: opened }));
