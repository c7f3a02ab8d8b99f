// A certified OpenID provider with a confidential client and a public one, strict refresh rotation, and switches for tests.
//
// Prints one line of JSON when it listens. Ends with SIGTERM, or when its standard input is closed.
// Every account signs in and consents at once: `login_hint` names it, or else the setting `account`.

import { once } from 'node:events';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const CLIENT_ID = 'holdfast-app';
const PUBLIC_CLIENT_ID = 'holdfast-public';
// Each of these characters reads differently once it is form-encoded (RFC 6749, section 2.3.1), as Basic demands.
const CLIENT_SECRET = 'a+b/c=d&e%f:g%3Ah-0123456789abcdef';
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

const settings = { access_ttl: 3600, account: 'ada', deny: false, email_verified: true, tamper: '', omit_expires_in: false };
let formerIdToken = '';
const counts = {};
const grants = new Set();

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: ['http://localhost/callback'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    scope: 'openid offline_access email profile read write',
  }, {
    client_id: PUBLIC_CLIENT_ID,
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://localhost/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid offline_access email profile read write',
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'read', 'write'],
  conformIdTokenClaims: false,
  cookies: { keys: ['test-only'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_ctx, accountId) => ({
    accountId,
    claims: () => ({
      sub: accountId, email: `${accountId}@example.com`, email_verified: settings.email_verified, name: accountId,
    }),
  }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  // A web client's offline_access is dropped unless it asks for prompt=consent; the tests want a token either way.
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  ttl: {
    AccessToken: () => settings.access_ttl,
    AuthorizationCode: 60,
    ClientCredentials: () => settings.access_ttl,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
});

// The tests' servers take any free port: RFC 8252 section 7.3, and any path besides.
provider.Client.prototype.redirectUriAllowed = (uri) => LOOPBACK.has(new URL(uri).hostname);

// What a token endpoint must not be believed: another subject, another algorithm, another sign-in's token.
function tamper(reply) {
  if (!reply?.id_token) return;
  const [header, payload, signature] = reply.id_token.split('.');
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url')), sub: 'owner', email: 'ada@example.com' };
  const forged = Buffer.from(JSON.stringify(claims)).toString('base64url');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const former = formerIdToken;
  formerIdToken = reply.id_token;
  if (settings.tamper === 'payload') reply.id_token = `${header}.${forged}.${signature}`;
  if (settings.tamper === 'none') reply.id_token = `${none}.${forged}.`;
  if (settings.tamper === 'former') reply.id_token = former;
  if (settings.tamper === 'absent') delete reply.id_token;
}

provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'token') {
    const grant = ctx.oidc.params?.grant_type ?? 'unauthenticated';
    counts[grant] = (counts[grant] ?? 0) + 1;
    tamper(ctx.body);
    if (settings.omit_expires_in) delete ctx.body.expires_in;
  }
});

async function interact(req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  if (settings.deny) {
    const result = { error: 'access_denied', error_description: 'The user said no.' };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }
  if (prompt.name === 'login') {
    const login = { accountId: params.login_hint ?? settings.account };
    return provider.interactionFinished(req, res, { login }, { mergeWithLastSubmission: false });
  }
  const known = grantId && await provider.Grant.find(grantId);
  const grant = known || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  grants.add(consent.grantId);
  return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

async function revokeAll() {
  const revoked = grants.size;
  for (const id of grants) {
    for (const kind of ['AccessToken', 'RefreshToken', 'AuthorizationCode']) {
      await provider[kind].revokeByGrantId(id);
    }
    await (await provider.Grant.find(id))?.destroy();
  }
  grants.clear();
  return { revoked };
}

async function body(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}');
}

// One access token ends before its time; its grant lives on, as it would not after RFC 7009's revocation.
async function endToken(token) {
  await (await provider.AccessToken.find(token))?.destroy();
  return {};
}

const controls = {
  'GET /__counts': () => counts,
  'POST /__end_token': async (req) => endToken((await body(req)).token),
  'POST /__revoke': revokeAll,
  'POST /__settings': async (req) => Object.assign(settings, await body(req)),
};

const answer = provider.callback();
server.on('request', async (req, res) => {
  try {
    const control = controls[`${req.method} ${req.url}`];
    if (control) {
      const reply = JSON.stringify(await control(req));
      res.writeHead(200, { 'content-type': 'application/json' }).end(reply);
    } else if (req.url.startsWith('/interaction/')) {
      await interact(req, res);
    } else {
      await answer(req, res);
    }
  } catch (error) {
    console.error(error);
    if (!res.headersSent) res.writeHead(500);
    res.end(String(error));
  }
});

const stop = () => process.exit(0);
process.once('SIGTERM', stop);
process.stdin.on('end', stop).resume();
console.log(JSON.stringify({
  base_url: issuer, client_id: CLIENT_ID, client_secret: CLIENT_SECRET, public_client_id: PUBLIC_CLIENT_ID,
}));
