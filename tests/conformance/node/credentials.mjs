// Reading live credentials, and putting in the kinds that need no browser.

import {
  assert,
  clientCredentialsIntegration,
  connect,
  CREDENTIALS,
  fresh,
  keyIntegration,
  oauthIntegration,
  ownerOf,
  refusal,
  sandbox,
  switchSandbox,
  tellSandbox,
  workos,
} from './kit.mjs';

const { pipes } = workos;
const pause = (seconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
  });

export const checks = {
  async 'pipes.getAccessToken'() {
    const [provider, userId] = [await oauthIntegration(), fresh('user')];
    assert.deepEqual(await pipes.getAccessToken({ provider, userId }), { active: false, error: 'not_installed' });
    await switchSandbox({ access_lifetime: 1 });
    await connect(provider, userId);
    const first = (await pipes.getAccessToken({ provider, userId })).accessToken;
    assert.equal(first.object, 'access_token');
    assert.ok(
      first.expiresAt instanceof Date && first.expiresAt > Date.now() - 5000 && first.expiresAt < Date.now() + 2000,
    );
    assert.deepEqual(first.missingScopes, []);
    await pause(1.1);
    await switchSandbox({ access_lifetime: 3600 });
    const before = (await sandbox()).counters.refresh_token;
    const reads = await Promise.all(Array.from({ length: 20 }, () => pipes.getAccessToken({ provider, userId })));
    assert.equal((await sandbox()).counters.refresh_token - before, 1, 'twenty readers, one refresh');
    const [second] = reads.map((read) => read.accessToken.accessToken);
    assert.ok(reads.every((read) => read.accessToken.accessToken === second));
    assert.notEqual(second, first.accessToken);
    assert.ok((await ownerOf(second)) !== null, 'live at the provider');
    await pipes.updateDataIntegration({ slug: provider, scopes: ['read', 'gone'] });
    const less = (await pipes.getAccessToken({ provider, userId })).accessToken;
    assert.deepEqual(less.missingScopes, ['gone']);
    return 'expires, and comes back live after one refresh for twenty readers';
  },

  async 'pipes.getAccessToken:needs_reauthorization'() {
    const [provider, userId] = [await oauthIntegration(), fresh('user')];
    await switchSandbox({ access_lifetime: 1 });
    await connect(provider, userId, {}, 'usr_linus');
    await switchSandbox({ access_lifetime: 3600 });
    await tellSandbox('revoke', { subject: 'usr_linus' });
    await pause(1.1);
    const read = await pipes.getAccessToken({ provider, userId });
    assert.deepEqual(read, { active: false, error: 'needs_reauthorization' });
    assert.equal((await pipes.getUserConnectedAccount({ slug: provider, userId })).state, 'needs_reauthorization');
    await connect(provider, userId, {}, 'usr_linus');
    assert.equal((await pipes.getAccessToken({ provider, userId })).active, true);
    return 'after revocation at the provider, until connected again';
  },

  async 'pipes.createDataIntegrationCredential'() {
    const userId = fresh('user');
    const oauth = await oauthIntegration();
    await connect(oauth, userId);
    const { active, credential } = await pipes.createDataIntegrationCredential({ slug: oauth, userId });
    assert.deepEqual([active, credential.authMethod, credential.config], [true, 'oauth', {}]);
    assert.ok((await ownerOf(credential.value)) !== null);
    assert.ok(new Date(credential.expiresAt) > new Date());

    const keys = await keyIntegration();
    await pipes.updateDataIntegrationApiKey({ slug: keys, userId, secret: 'sk-abc-123' });
    const key = (await pipes.createDataIntegrationCredential({ slug: keys, userId })).credential;
    assert.deepEqual([key.authMethod, key.value, key.config], ['api_key', 'sk-abc-123', {}]);

    const absent = await pipes.createDataIntegrationCredential({ slug: keys, userId: fresh('user') });
    assert.deepEqual(absent, { active: false, error: 'not_installed' });
    return 'OAuth, API key, none';
  },

  async 'pipes.createDataIntegrationApiKey'() {
    const [slug, userId] = [await keyIntegration(), fresh('user')];
    const first = await pipes.createDataIntegrationApiKey({
      slug,
      userId,
      secret: 'sk-one-1111',
      connectionIntent: 'add',
    });
    assert.deepEqual([first.authMethod, first.apiKeyLast4, first.connectionRole], ['api_key', '1111', 'compatibility']);
    const second = await pipes.createDataIntegrationApiKey({
      slug,
      userId,
      secret: 'sk-two-2222',
      connectionIntent: 'add',
    });
    assert.deepEqual([second.apiKeyLast4, second.connectionRole], ['2222', 'standard']);
    const asked = { slug, userId, supportsMultipleConnections: true };
    assert.equal((await refusal(pipes.createDataIntegrationCredential(asked))).code, 'account_selection_required');
    const exact = await pipes.createDataIntegrationCredential({ ...asked, connectedAccountId: second.id });
    assert.equal(exact.credential.value, 'sk-two-2222');
    return 'a first and a second';
  },

  async 'pipes.updateDataIntegrationApiKey'() {
    const [slug, userId] = [await keyIntegration(), fresh('user')];
    const made = await pipes.updateDataIntegrationApiKey({ slug, userId, secret: 'sk-old-1111' });
    const rotated = await pipes.updateDataIntegrationApiKey({ slug, userId, secret: 'sk-new-2222' });
    assert.deepEqual([rotated.id, rotated.apiKeyLast4], [made.id, '2222']);
    const exact = await pipes.updateDataIntegrationApiKey({
      slug,
      userId,
      secret: 'sk-newer-3333',
      connectionIntent: 'reauthorize',
      connectedAccountId: made.id,
    });
    assert.equal(exact.id, made.id);
    const read = await pipes.createDataIntegrationCredential({ slug, userId });
    assert.equal(read.credential.value, 'sk-newer-3333');
    return 'makes the first, then rotates it';
  },

  async 'pipes.createDataIntegrationClientCredential'() {
    const [slug, userId] = [await clientCredentialsIntegration(), fresh('user')];
    const { clientId, clientSecret } = CREDENTIALS;
    const made = await pipes.createDataIntegrationClientCredential({
      slug,
      userId,
      clientId,
      clientSecret,
      connectionIntent: 'add',
    });
    assert.deepEqual([made.authMethod, made.clientId], ['client_credentials', clientId]);
    assert.equal(made.clientSecretLast4, clientSecret.slice(-4));
    const { credential } = await pipes.createDataIntegrationCredential({ slug, userId });
    assert.deepEqual([credential.authMethod, credential.config, credential.metadata], ['client_credentials', {}, {}]);
    assert.ok(await admitted(credential.value), 'the minted token is live');
    const again = await pipes.createDataIntegrationCredential({ slug, userId });
    assert.equal(again.credential.value, credential.value, 'and kept until it ends');
    return 'mints a token and keeps it';
  },

  async 'pipes.updateDataIntegrationClientCredentials'() {
    const [slug, userId] = [await clientCredentialsIntegration(), fresh('user')];
    await tellSandbox('clients', { client_id: 'tenant-1', client_secret: 'tenant-secret-4321' });
    const { clientId, clientSecret } = CREDENTIALS;
    const made = await pipes.updateDataIntegrationClientCredentials({ slug, userId, clientId, clientSecret });
    const before = (await pipes.createDataIntegrationCredential({ slug, userId })).credential.value;
    const changed = await pipes.updateDataIntegrationClientCredentials({
      slug,
      userId,
      clientId: 'tenant-1',
      clientSecret: 'tenant-secret-4321',
    });
    assert.deepEqual([changed.id, changed.clientId, changed.clientSecretLast4], [made.id, 'tenant-1', '4321']);
    const after = (await pipes.createDataIntegrationCredential({ slug, userId })).credential.value;
    assert.notEqual(after, before);
    assert.ok(await admitted(after));
    return 'the token of the former client is not served again';
  },
};

// A client's own token is nobody's, so that userinfo is closed to it; the sandbox's API shows whether it lives.
async function admitted(accessToken) {
  const { issuer } = await sandbox();
  const reply = await fetch(`${issuer}/api/me`, { headers: { authorization: `Bearer ${accessToken}` } });
  return reply.ok;
}
