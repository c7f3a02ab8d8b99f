// What the checks share: the client under test, the sandbox provider, and a user with a browser.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

import { WorkOS } from '../../node/node_modules/@workos-inc/node/lib/index.mjs';

// Nothing listens there; the browser stops before it.
export const RETURN_TO = 'http://localhost:3000/connected';
export const SCOPES = ['read', 'write', 'offline', 'profile'];
const MOST_STEPS = 12;

const given = JSON.parse(process.env.HOLDFAST_TEST_SERVERS);
export const { server, throttled } = given;

// Retries are off: an error test that is tried four times takes seconds, and hides what came first.
export function clientOf({ url, key }) {
  const { protocol, hostname, port } = new URL(url);
  const https = protocol === 'https:';
  return new WorkOS(key, {
    clientId: 'client_conformance',
    apiHostname: hostname,
    port: Number(port),
    https,
    maxRetries: 0,
  });
}

export const workos = clientOf(server);

let number = 0;
// Names that no other check uses: `user_7`, `acme-8`.
export const fresh = (what) => `${what}_${(number += 1)}`;

const control = `${server.url}/lab/sandbox/control`;

export async function sandbox() {
  return (await fetch(`${control}/state`)).json();
}

export async function switchSandbox(changes) {
  await tellSandbox('switches', changes);
}

export async function tellSandbox(what, body = {}) {
  const reply = await fetch(`${control}/${what}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(reply.status, 200, `${what}: ${await reply.text()}`);
}

// Tells whose token it is; null if the provider refuses it.
export async function ownerOf(accessToken) {
  const reply = await fetch(`${server.url}/lab/sandbox/userinfo`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  return reply.ok ? reply.json() : null;
}

const { client } = await sandbox();
export const CREDENTIALS = { type: 'custom', clientId: client.id, clientSecret: client.secret };

// The sandbox under another name.
export function definition(changes = {}) {
  return {
    name: 'Acme',
    authorizationUrl: `${server.url}/lab/sandbox/authorize`,
    tokenUrl: `${server.url}/lab/sandbox/token`,
    authenticateVia: 'basic_auth_header',
    ...changes,
  };
}

export async function oauthIntegration(changes = {}) {
  const slug = fresh('acme');
  const facts = { enabled: true, scopes: SCOPES, credentials: CREDENTIALS, customProvider: definition() };
  await workos.pipes.createDataIntegration({ provider: slug, ...facts, ...changes });
  return slug;
}

export async function keyIntegration(changes = {}) {
  const slug = fresh('keys');
  const facts = { enabled: true, authMethods: ['api_key'], customProvider: { name: 'Acme keys' } };
  await workos.pipes.createDataIntegration({ provider: slug, ...facts, ...changes });
  return slug;
}

export async function clientCredentialsIntegration(changes = {}) {
  const slug = fresh('machines');
  const { authorizationUrl, ...rest } = definition({ name: 'Acme machines' });
  const facts = { enabled: true, authMethods: ['client_credentials'], customProvider: rest };
  await workos.pipes.createDataIntegration({ provider: slug, ...facts, ...changes });
  return slug;
}

// A user opens the link and agrees to everything; returns the address the user comes back to, never asked for.
export async function consent(url, person = 'usr_ada') {
  await switchSandbox({ auto_consent_as: person });
  const jar = new Map();
  let [method, body] = ['GET', undefined];
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const reply = await fetch(url, { method, body, redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const line of reply.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      jar.set(name, value);
    }
    const location = reply.headers.get('location');
    if (location) {
      [url, method, body] = [new URL(location, url).href, 'GET', undefined];
      if (url.startsWith(RETURN_TO)) return new URL(url);
    } else {
      // The only form on the way is the confirmation page's. It goes to the page's own address.
      const [, name, value] =
        (await reply.text()).match(/<form method="post">\s*<button type="submit" name="(\w+)" value="(\w+)"/) ??
        assert.fail(`stopped with status ${reply.status} at ${new URL(url).pathname}`);
      [method, body] = ['POST', new URLSearchParams({ [name]: value })];
    }
  }
  throw new Error('sent in circles');
}

export async function connect(slug, userId, changes = {}, person = 'usr_ada') {
  const { url } = await workos.pipes.authorizeDataIntegration({ slug, userId, returnTo: RETURN_TO, ...changes });
  const landed = await consent(url, person);
  assert.equal(landed.searchParams.get('error'), null, landed.search);
  const asked = { slug, userId, organizationId: changes.organizationId };
  return workos.pipes.getUserConnectedAccount(asked);
}

export function newVerifier() {
  const verifier = randomBytes(48).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

export async function register(uri) {
  const { data } = await workos.get('/user_management/redirect_uris');
  if (!data.data.some((known) => known.uri === uri)) await workos.post('/user_management/redirect_uris', { uri });
}

export const isRecent = (date) => date instanceof Date && Math.abs(Date.now() - date.getTime()) < 120_000;

// What a rejected call was rejected with; fails if it was not.
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was expected to be refused' });
}

export { assert };
