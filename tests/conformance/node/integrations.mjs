// Data integrations, user-owned and organization-owned, and what one organization changes of them.

import {
  assert,
  CREDENTIALS,
  connect,
  definition,
  fresh,
  isRecent,
  keyIntegration,
  oauthIntegration,
  RETURN_TO,
  refusal,
  SCOPES,
  server,
  workos,
} from './kit.mjs';

const { pipes } = workos;

// One hundred is the most that a page holds, so that autopagination has to turn one.
const MANY = 101;

export const checks = {
  async 'pipes.createDataIntegration'() {
    const slug = fresh('acme');
    const made = await pipes.createDataIntegration({
      provider: slug,
      enabled: true,
      description: 'Our own',
      scopes: ['read'],
      credentials: CREDENTIALS,
      customProvider: definition({ requestScopeSeparator: ',', additionalAuthorizationParameters: { audience: 'x' } }),
    });
    assert.match(made.id, /^data_integration_[0-9A-HJKMNP-TV-Z]{26}$/);
    assert.deepEqual([made.slug, made.ownership, made.enabled, made.state], [slug, 'user', true, 'valid']);
    assert.deepEqual([made.description, made.scopes, made.authMethods], ['Our own', ['read'], ['oauth']]);
    assert.ok(isRecent(made.createdAt) && isRecent(made.updatedAt), 'createdAt and updatedAt are Dates of now');
    assert.match(made.redirectUri, new RegExp(`^${server.url}/data-integrations/${slug}/dik_[0-9A-Z]{26}/callback$`));
    const { clientId, redactedClientSecret, type } = made.credentials;
    assert.deepEqual([type, clientId], ['custom', CREDENTIALS.clientId]);
    assert.ok(redactedClientSecret.endsWith(CREDENTIALS.clientSecret.slice(-4)));
    assert.ok(!JSON.stringify(made).includes(CREDENTIALS.clientSecret), 'the secret does not come back');
    const { customProvider } = made;
    assert.deepEqual([customProvider.name, customProvider.requestScopeSeparator], ['Acme', ',']);
    assert.deepEqual(customProvider.additionalAuthorizationParameters, { audience: 'x' });
    assert.equal(customProvider.authenticateVia, 'basic_auth_header');

    const keyed = await pipes.createDataIntegration({
      provider: fresh('keys'),
      enabled: true,
      authMethods: ['api_key'],
      customProvider: { name: 'Keys' },
      apiKey: { secret: 'sk-first-tenant-1234', userId: fresh('user') },
    });
    assert.deepEqual([keyed.installation.apiKeyLast4, keyed.installation.connectionRole], ['1234', 'compatibility']);
    assert.deepEqual([keyed.credentials, keyed.redirectUri], [null, '']);
    return 'custom OAuth provider; API keys with a first tenant';
  },

  async 'pipes.getDataIntegration'() {
    const slug = await oauthIntegration({ description: 'Seen again' });
    const found = await pipes.getDataIntegration({ slug });
    assert.deepEqual([found.slug, found.description, found.ownership], [slug, 'Seen again', 'user']);
    const none = await refusal(pipes.getDataIntegration({ slug: 'provider/slug' }));
    assert.equal(none.name, 'NotFoundException');
    assert.match(none.message, /provider\/slug/, '%2F stays within one segment');
    return 'and a slug with a slash is one segment';
  },

  async 'pipes.updateDataIntegration'() {
    const slug = await oauthIntegration({ description: 'Before' });
    const changed = await pipes.updateDataIntegration({
      slug,
      description: 'After',
      enabled: false,
      scopes: ['read'],
      customProvider: { name: 'Acme 2' },
    });
    assert.deepEqual([changed.description, changed.enabled, changed.scopes], ['After', false, ['read']]);
    assert.deepEqual([changed.customProvider.name, changed.customProvider.pkceEnabled], ['Acme 2', true]);
    const cleared = await pipes.updateDataIntegration({ slug, description: null, scopes: null });
    assert.deepEqual([cleared.description, cleared.scopes, cleared.enabled], [null, null, false]);
    const rotated = await pipes.updateDataIntegration({
      slug,
      credentials: { type: 'custom', clientId: 'another', clientSecret: 'new-secret-9876' },
    });
    assert.equal(rotated.credentials.clientId, 'another');
    assert.ok(rotated.credentials.redactedClientSecret.endsWith('9876'));
    return 'fields, null resets, the client secret';
  },

  async 'pipes.deleteDataIntegration'() {
    const slug = await oauthIntegration();
    const userId = fresh('user');
    await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'brought-along' });
    assert.equal(await pipes.deleteDataIntegration({ slug }), undefined);
    assert.equal((await refusal(pipes.getDataIntegration({ slug }))).status, 404);
    assert.equal((await refusal(pipes.getUserConnectedAccount({ slug, userId }))).status, 404);
    return 'with its accounts';
  },

  async 'pipes.listDataIntegrations'() {
    const made = [];
    for (let count = 0; count < MANY; count += 1) made.push(await keyIntegration());
    const organizations = await keyIntegration({ ownership: 'organization' });
    const page = await pipes.listDataIntegrations({ limit: 2, ownership: 'user' });
    assert.deepEqual(
      page.data.map(({ slug }) => slug),
      made.slice(-2).reverse(),
      'newest first',
    );
    assert.equal(page.listMetadata.after, page.data[1].id);
    const next = await pipes.listDataIntegrations({ limit: 2, ownership: 'user', after: page.listMetadata.after });
    assert.deepEqual(
      next.data.map(({ slug }) => slug),
      made.slice(-4, -2).reverse(),
    );
    const back = await pipes.listDataIntegrations({ limit: 2, ownership: 'user', before: next.data[0].id });
    assert.deepEqual(
      back.data.map(({ slug }) => slug),
      made.slice(-2).reverse(),
    );
    const upwards = await pipes.listDataIntegrations({ limit: 100, order: 'asc' });
    const times = upwards.data.map(({ createdAt }) => createdAt.getTime());
    assert.deepEqual(
      times,
      times.toSorted((one, other) => one - other),
    );

    const all = await (await pipes.listDataIntegrations({ ownership: 'user' })).autoPagination();
    const slugs = all.map(({ slug }) => slug);
    assert.equal(new Set(slugs).size, slugs.length, 'nothing twice');
    assert.ok(
      made.every((slug) => slugs.includes(slug)),
      'nothing left out',
    );
    assert.ok(
      all.every(({ ownership }) => ownership === 'user'),
      'the filter stays on the following pages',
    );
    assert.ok(!slugs.includes(organizations));
    const theirs = await (await pipes.listDataIntegrations({ ownership: 'organization' })).autoPagination();
    assert.ok(theirs.some(({ slug }) => slug === organizations));
    return `${all.length} in pages of 100; limit, after, before, order, ownership`;
  },

  async 'pipes.getOrganizationDataIntegration'() {
    const slug = await oauthIntegration();
    assert.equal((await refusal(pipes.getOrganizationDataIntegration({ slug }))).status, 404);
    const made = await pipes.createDataIntegration({
      provider: slug,
      ownership: 'organization',
      enabled: true,
      credentials: CREDENTIALS,
      description: 'Shared',
    });
    const [theirs, users] = [
      await pipes.getOrganizationDataIntegration({ slug }),
      await pipes.getDataIntegration({ slug }),
    ];
    assert.deepEqual([theirs.id, theirs.ownership, theirs.description], [made.id, 'organization', 'Shared']);
    assert.deepEqual([users.ownership, users.description], ['user', null]);
    assert.notEqual(theirs.redirectUri, users.redirectUri);
    return 'beside the user-owned one of the same slug';
  },

  async 'pipes.updateOrganizationDataIntegration'() {
    const slug = await oauthIntegration();
    await pipes.createDataIntegration({ provider: slug, ownership: 'organization', credentials: CREDENTIALS });
    const changed = await pipes.updateOrganizationDataIntegration({ slug, enabled: true, description: 'Theirs' });
    assert.deepEqual([changed.enabled, changed.description, changed.ownership], [true, 'Theirs', 'organization']);
    assert.equal((await pipes.getDataIntegration({ slug })).description, null, 'the other root is as it was');
    return 'leaves the user-owned root alone';
  },

  async 'pipes.deleteOrganizationDataIntegration'() {
    const slug = await oauthIntegration();
    await pipes.createDataIntegration({ provider: slug, ownership: 'organization', credentials: CREDENTIALS });
    await pipes.deleteOrganizationDataIntegration({ slug });
    assert.equal((await refusal(pipes.getOrganizationDataIntegration({ slug }))).status, 404);
    assert.equal((await pipes.getDataIntegration({ slug })).slug, slug);
    return 'leaves the user-owned root alone';
  },

  // Node 11 has no methods for these two.
  async 'raw.listOrganizationDataIntegrationConfigurations'() {
    const [slug, organization] = [await oauthIntegration({ description: 'x' }), fresh('org')];
    const { data } = await workos.get(`/organizations/${organization}/data_integration_configurations`);
    assert.equal(data.object, 'list');
    const mine = data.data.find((row) => row.slug === slug);
    assert.deepEqual([mine.organization_id, mine.enabled, mine.scopes], [organization, true, SCOPES]);
    assert.equal(mine.credentials, undefined, 'only where each organization supplies its own client');
    return 'as each integration stands without an override';
  },

  async 'raw.updateOrganizationDataIntegrationConfiguration'() {
    const slug = await oauthIntegration({ credentials: { type: 'organization' } });
    const [organizationId, userId] = [fresh('org'), fresh('user')];
    const path = `/organizations/${organizationId}/data_integration_configurations/${slug}`;
    const without = await refusal(
      pipes.authorizeDataIntegration({ slug, userId, organizationId, returnTo: RETURN_TO }),
    );
    assert.equal(without.code, 'invalid_data_integration');
    const { data } = await workos.put(path, {
      client_id: CREDENTIALS.clientId,
      client_secret: CREDENTIALS.clientSecret,
      scopes: ['read', 'offline'],
    });
    assert.deepEqual([data.organization_id, data.slug, data.scopes], [organizationId, slug, ['read', 'offline']]);
    assert.deepEqual([data.credentials.credentials_type, data.credentials.has_credentials], ['organization', true]);
    assert.equal(data.credentials.client_secret_last_four, CREDENTIALS.clientSecret.slice(-4));
    const account = await connect(slug, userId, { organizationId });
    assert.deepEqual(account.scopes.toSorted(), ['offline', 'read'], 'the organization asks for less');
    const { data: off } = await workos.put(path, { enabled: false });
    assert.equal(off.enabled, false);
    const disabled = await refusal(
      pipes.authorizeDataIntegration({ slug, userId, organizationId, returnTo: RETURN_TO }),
    );
    assert.equal(disabled.code, 'invalid_data_integration');
    return "an organization's own client and scopes, then switched off";
  },
};
