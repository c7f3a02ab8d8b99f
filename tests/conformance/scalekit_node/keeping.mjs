// client.actions and client.connectedAccounts: what an app does with accounts, and calls of their provider.

import { assert, fresh, given, refusal, transportOf } from './kit.mjs';

const [ACTIVE, PENDING_AUTH] = [1, 3];
const oauth = (accessToken) => ({ details: { case: 'oauthToken', value: { accessToken, refreshToken: 'rt', scopes: ['read'] } } });
const fixed = (details) => ({ details: { case: 'staticAuth', value: { details } } });
const tokenOf = (account) => account.authorizationDetails.details.value.accessToken;
const codeOf = (error) => error.errorCode ?? error._errorCode;

export const checks = {
  'actions.listConnectedAccounts': async ({ actions }) => {
    const identifier = fresh('user');
    const one = await actions.createConnectedAccount({ connectionName: given.connector, identifier });
    await actions.createConnectedAccount({ connectionName: given.keyed, identifier });
    const first = await actions.listConnectedAccounts({ identifier, pageSize: 1 });
    assert.equal(first.totalSize, 2);
    assert.equal(first.connectedAccounts[0].connector, given.keyed);
    const second = await actions.listConnectedAccounts({ identifier, pageSize: 1, pageToken: first.nextPageToken });
    assert.equal(second.connectedAccounts[0].id, one.connectedAccount.id);
    assert.equal(second.connectedAccounts[0].status, PENDING_AUTH);
    const named = await actions.listConnectedAccounts({ identifier, connectionNames: [given.keyed] });
    assert.equal(named.connectedAccounts.length, 1);
    const refused = await refusal(actions.listConnectedAccounts({ pageToken: 'made-up' }));
    assert.equal(refused.constructor.name, 'ScalekitBadRequestException');
    return 'in pages, by identifier and connection names';
  },

  'actions.updateConnectedAccount': async ({ actions }) => {
    const where = { connectionName: given.connector, identifier: fresh('user') };
    await actions.createConnectedAccount({ ...where, apiConfig: { version: 'v1', domain: 'acme.test' } });
    const token = fresh('at');
    const changed = await actions.updateConnectedAccount({ ...where, authorizationDetails: oauth(token), apiConfig: { version: 'v2' } });
    assert.equal(changed.connectedAccount.status, ACTIVE);
    assert.equal(tokenOf(changed.connectedAccount), token);
    assert.deepEqual(changed.connectedAccount.apiConfig, { version: 'v2', domain: 'acme.test' });
    const refused = await refusal(actions.updateConnectedAccount({ ...where, identifier: 'nobody', authorizationDetails: oauth('a') }));
    assert.equal(codeOf(refused), 'RESOURCE_NOT_FOUND');
    return 'credential replaced, api_config merged';
  },

  'actions.upsertConnectedAccount': async ({ actions }) => {
    const where = { connectionName: given.connector, identifier: fresh('user') };
    const ids = new Set();
    for (const token of [fresh('at'), fresh('at')]) {
      const { connectedAccount: made } = await actions.upsertConnectedAccount({ ...where, authorizationDetails: oauth(token) });
      assert.equal(tokenOf(made), token);
      ids.add(made.id);
    }
    assert.equal(ids.size, 1);
    for (const connectionName of [given.connector, given.keyed]) {
      // Without credentials the SDK sends an empty OauthToken, whatever the connection takes.
      const { connectedAccount: made } = await actions.upsertConnectedAccount({ connectionName, identifier: fresh('user') });
      assert.equal(made.status, PENDING_AUTH);
    }
    // Fields outside the oneof serialise to nothing at all.
    const bare = { connectionName: given.keyed, identifier: fresh('user'), authorizationDetails: { static_auth: { token: 'x' } } };
    assert.equal((await actions.upsertConnectedAccount(bare)).connectedAccount.status, PENDING_AUTH);
    return 'made once, its credential replaced; nothing given is PENDING_AUTH';
  },

  'actions.deleteConnectedAccount': async ({ actions }) => {
    const where = { connectionName: given.connector, identifier: fresh('user') };
    const { connectedAccount: made } = await actions.createConnectedAccount(where);
    await actions.deleteConnectedAccount({ connectedAccountId: made.id });
    assert.equal(codeOf(await refusal(actions.getConnectedAccount(where))), 'RESOURCE_NOT_FOUND');
    assert.equal(codeOf(await refusal(actions.deleteConnectedAccount(where))), 'RESOURCE_NOT_FOUND');
    return 'gone';
  },

  'actions.getAuthorizationLink': async ({ actions }) => {
    const where = { connectionName: given.connector, identifier: fresh('user') };
    const { link, expiry } = await actions.getAuthorizationLink({ ...where, state: 's', userVerifyUrl: 'http://localhost:3000/back' });
    const page = await (await fetch(link)).text();
    assert.ok(page.includes(where.identifier));
    assert.ok(Math.abs(Number(expiry.seconds) - Date.now() / 1000 - 60) < 10);
    assert.equal((await actions.getConnectedAccount(where)).connectedAccount.status, PENDING_AUTH);
    assert.equal(codeOf(await refusal(actions.getAuthorizationLink({ connectionName: 'nowhere', identifier: 'a' }))), 'RESOURCE_NOT_FOUND');
    return 'opens, and lives a minute';
  },

  'actions.verifyConnectedAccountUser': async (client) => {
    const { identifier, authRequestId } = given.waiting[transportOf(client)];
    const where = { connectionName: 'sandbox', identifier };
    const { actions } = client;
    assert.equal((await actions.getConnectedAccount(where)).connectedAccount.authorizationDetails, undefined);
    const done = await actions.verifyConnectedAccountUser({ authRequestId, identifier });
    assert.ok(done.postUserVerifyRedirectUrl.endsWith('/connect/success'));
    assert.equal((await actions.getConnectedAccount(where)).connectedAccount.status, ACTIVE);
    const again = await refusal(actions.verifyConnectedAccountUser({ authRequestId, identifier }));
    assert.match(again.message, /auth request not found or no longer valid/i);
    return 'once';
  },

  'actions.request': async (client) => {
    const { identifier } = given.connected[transportOf(client)];
    const where = { connectionName: 'sandbox', identifier };
    await client.actions.getConnectedAccount(where); // this release signs in with its first gRPC call only
    const reply = await client.actions.request({ ...where, path: '/echo/widgets', method: 'POST', queryParams: { a: 'b' }, body: { n: 1 } });
    assert.equal(reply.status, 200);
    assert.equal(reply.data.method, 'POST');
    const refused = await refusal(client.actions.request({ ...where, identifier: 'nobody', path: '/echo' }));
    assert.equal(refused.constructor.name, 'ScalekitBadRequestException');
    return 'reaches the provider';
  },

  'connectedAccounts.createConnectedAccount': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    const { connectedAccount: made } = await connectedAccounts.createConnectedAccount({ ...where, connectedAccount: { authorizationDetails: fixed({ api_key: 'k' }) } });
    assert.equal(made.status, ACTIVE);
    return 'with a key';
  },
  'connectedAccounts.getConnectedAccountByIdentifier': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    const fields = { username: 'ada', password: 'p', domain: 'acme.test' };
    await connectedAccounts.createConnectedAccount({ ...where, connectedAccount: { authorizationDetails: fixed(fields) } });
    const { connectedAccount: found } = await connectedAccounts.getConnectedAccountByIdentifier(where);
    assert.deepEqual(found.authorizationDetails.details.value.details, fields);
    return 'fields come back as they were given';
  },
  'connectedAccounts.getOrCreateConnectedAccount': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    const first = await connectedAccounts.getOrCreateConnectedAccount(where);
    const second = await connectedAccounts.getOrCreateConnectedAccount(where);
    assert.equal(first.connectedAccount.id, second.connectedAccount.id);
    return 'made once';
  },
  'connectedAccounts.upsertConnectedAccount': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    await connectedAccounts.upsertConnectedAccount(where);
    const filled = await connectedAccounts.upsertConnectedAccount({ ...where, authorizationDetails: fixed({ token: 't' }) });
    assert.equal(filled.connectedAccount.status, ACTIVE);
    return 'filled';
  },
  'connectedAccounts.updateConnectedAccount': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    await connectedAccounts.getOrCreateConnectedAccount(where);
    const { connectedAccount: changed } = await connectedAccounts.updateConnectedAccount({ ...where, connectedAccount: { authorizationDetails: fixed({ token: 't' }) } });
    assert.equal(changed.status, ACTIVE);
    return 'active';
  },
  'connectedAccounts.listConnectedAccounts': async ({ connectedAccounts }) => {
    const identifier = fresh('user');
    await connectedAccounts.getOrCreateConnectedAccount({ connector: given.keyed, identifier });
    assert.equal((await connectedAccounts.listConnectedAccounts({ query: identifier })).totalSize, 1);
    return 'by query';
  },
  'connectedAccounts.deleteConnectedAccount': async ({ connectedAccounts }) => {
    const where = { connector: given.keyed, identifier: fresh('user') };
    await connectedAccounts.getOrCreateConnectedAccount(where);
    await connectedAccounts.deleteConnectedAccount(where);
    assert.equal(codeOf(await refusal(connectedAccounts.getConnectedAccountByIdentifier(where))), 'RESOURCE_NOT_FOUND');
    return 'gone';
  },
  'connectedAccounts.getMagicLinkForConnectedAccount': async ({ connectedAccounts }) => {
    const { link } = await connectedAccounts.getMagicLinkForConnectedAccount({ connector: given.keyed, identifier: fresh('user') });
    assert.ok((await (await fetch(link)).text()).includes('<form'));
    return 'a form';
  },
  'connectedAccounts.verifyConnectedAccountUser': async ({ connectedAccounts }) => {
    const refused = await refusal(connectedAccounts.verifyConnectedAccountUser({ authRequestId: 'made-up', identifier: 'a' }));
    assert.equal(codeOf(refused), 'RESOURCE_NOT_FOUND');
    return 'an unknown request is refused';
  },
};
