// Connected accounts of users and organizations: connected in a browser, imported, changed, removed, listed.

import {
  assert,
  connect,
  consent,
  fresh,
  keyIntegration,
  newVerifier,
  oauthIntegration,
  ownerOf,
  RETURN_TO,
  refusal,
  register,
  SCOPES,
  server,
  workos,
} from './kit.mjs';

const { pipes } = workos;
const inAnHour = () => new Date(Date.now() + 3600_000);

const organizationIntegration = () => oauthIntegration({ ownership: 'organization' });

export const checks = {
  async 'pipes.authorizeDataIntegration'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const { url } = await pipes.authorizeDataIntegration({ slug, userId, returnTo: `${RETURN_TO}?tab=2` });
    assert.match(url, new RegExp(`^${server.url}/data-integrations/[A-Za-z0-9]{24}/authorize-redirect$`));
    assert.equal(
      (await refusal(pipes.getUserConnectedAccount({ slug, userId }))).status,
      404,
      'a link connects nothing',
    );
    const landed = await consent(url);
    assert.equal(landed.searchParams.get('tab'), '2');
    assert.ok(landed.searchParams.get('state'));
    assert.equal(landed.searchParams.get('error'), null);
    const account = await pipes.getUserConnectedAccount({ slug, userId });
    assert.deepEqual([account.state, account.userId, account.organizationId], ['connected', userId, null]);
    const again = await fetch(url, { redirect: 'manual' });
    assert.equal(again.status, 410, 'a link works once');
    return 'through the confirmation page and the provider, back to returnTo';
  },

  // Node 11 has no finishConnection, and sends no code challenge.
  async 'raw.finishConnection'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    await register(RETURN_TO);
    const { verifier, challenge } = newVerifier();
    const begin = async () =>
      (
        await workos.post(`/data-integrations/${slug}/authorize`, {
          user_id: userId,
          return_to: RETURN_TO,
          code_challenge: challenge,
          code_challenge_method: 'S256',
        })
      ).data;
    const begun = await begin();
    assert.equal(begun.completion, 'finish_required');
    const landed = await consent(begun.url);
    assert.equal(landed.searchParams.get('state'), begun.state);
    const code = landed.searchParams.get('connect_code');
    assert.equal(
      (await refusal(pipes.getUserConnectedAccount({ slug, userId }))).status,
      404,
      'nothing before the finish',
    );
    const finish = (connect_code, code_verifier) =>
      workos.post('/data-integrations/finish', { connect_code, code_verifier });
    const { data } = await finish(code, verifier);
    assert.deepEqual([data.connected_account.user_id, data.connected_account.state], [userId, 'connected']);
    assert.equal((await refusal(finish(code, verifier))).code, 'invalid_connect_code');

    const second = (await consent((await begin()).url)).searchParams.get('connect_code');
    assert.equal((await refusal(finish(second, newVerifier().verifier))).code, 'invalid_connect_code');
    assert.equal(
      (await refusal(finish(second, verifier))).code,
      'invalid_connect_code',
      'a wrong verifier burns the code',
    );
    return 'single use; a wrong verifier burns the code';
  },

  async 'raw.connectionIntent'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const first = await connect(slug, userId);
    const begin = async (body) =>
      (
        await workos.post(`/data-integrations/${slug}/authorize`, {
          user_id: userId,
          return_to: RETURN_TO,
          ...body,
        })
      ).data.url;
    await consent(await begin({ connection_intent: 'add', account_display_name: 'Work' }), 'usr_grace');
    const { data } = await pipes.listUserDataProviders({ userId, supportsMultipleConnections: true });
    const accounts = data.find((row) => row.slug === slug).connectedAccounts;
    assert.deepEqual(accounts.map(({ connectionRole }) => connectionRole).toSorted(), ['compatibility', 'standard']);
    const added = accounts.find(({ connectionRole }) => connectionRole === 'standard');
    assert.equal(added.accountDisplayName, 'Work');
    await consent(await begin({ connection_intent: 'reauthorize', connected_account_id: added.id }), 'usr_grace');
    const seen = await pipes.getUserConnectedAccount({ slug, userId, connectedAccountId: added.id });
    assert.deepEqual([seen.id, seen.connectionRole], [added.id, 'standard']);
    assert.equal((await pipes.getUserConnectedAccount({ slug, userId })).id, first.id);
    return 'add a second account, reauthorize that one';
  },

  async 'pipes.createUserConnectedAccount'() {
    const slug = await oauthIntegration();
    const userId = `team/${fresh('user')}`;
    const expiresAt = inAnHour();
    const made = await pipes.createUserConnectedAccount({
      slug,
      userId,
      accessToken: 'at-brought',
      refreshToken: 'rt-brought',
      expiresAt,
      scopes: ['read'],
    });
    assert.match(made.id, /^data_installation_[0-9A-HJKMNP-TV-Z]{26}$/);
    assert.deepEqual([made.userId, made.state, made.scopes], [userId, 'connected', ['read']], 'a user id with a slash');
    assert.deepEqual([made.connectionRole, made.authMethod], ['compatibility', 'oauth']);
    const { accessToken } = await pipes.getAccessToken({ provider: slug, userId });
    assert.deepEqual([accessToken.accessToken, accessToken.expiresAt.getTime()], ['at-brought', expiresAt.getTime()]);
    const scoped = await pipes.createUserConnectedAccount({
      slug,
      userId,
      organizationId: 'org_elsewhere',
      accessToken: 'at-2',
    });
    assert.deepEqual([scoped.organizationId, scoped.connectionRole], ['org_elsewhere', 'compatibility']);
    const empty = await pipes.createUserConnectedAccount({ slug, userId: fresh('user') });
    assert.equal(empty.state, 'needs_reauthorization');
    const another = await pipes.createUserConnectedAccount({
      slug,
      userId,
      accessToken: 'at-3',
      connectionIntent: 'add',
    });
    assert.equal(another.connectionRole, 'standard');
    return 'tokens, none, within an organization, a second one';
  },

  // The client's own post takes a key; its methods send one of their own with each retry.
  async 'raw.idempotencyKey'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const create = (access_token, idempotencyKey) =>
      workos.post(
        `/user_management/users/${userId}/connected_accounts/${slug}`,
        { access_token, connection_intent: 'add' },
        { idempotencyKey },
      );
    const key = fresh('key');
    const [first, again] = [await create('at-1', key), await create('at-1', key)];
    assert.equal(again.data.id, first.data.id);
    assert.equal((await refusal(create('at-2', key))).code, 'idempotency_key_conflict');
    assert.notEqual((await create('at-1', fresh('key'))).data.id, first.data.id);
    return 'a repeated request makes one account';
  },

  async 'pipes.getUserConnectedAccount'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const one = await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-one' });
    const two = await pipes.createUserConnectedAccount({
      slug,
      userId,
      accessToken: 'at-two',
      connectionIntent: 'add',
    });
    assert.equal((await pipes.getUserConnectedAccount({ slug, userId })).id, one.id);
    const exact = await pipes.getUserConnectedAccount({
      slug,
      userId,
      supportsMultipleConnections: true,
      connectedAccountId: two.id,
    });
    assert.equal(exact.id, two.id);
    const unclear = await refusal(pipes.getUserConnectedAccount({ slug, userId, supportsMultipleConnections: true }));
    assert.deepEqual([unclear.name, unclear.code], ['ConflictException', 'account_selection_required']);
    const crossed = pipes.getUserConnectedAccount({ slug, userId, organizationId: 'org_other' });
    assert.equal((await refusal(crossed)).status, 404, 'an organization is a scope of its own');
    const foreign = pipes.getUserConnectedAccount({ slug, userId: fresh('user'), connectedAccountId: two.id });
    assert.equal((await refusal(foreign)).code, 'connected_account_not_found');
    return "the compatibility one, an exact one, and nobody else's";
  },

  async 'pipes.updateUserConnectedAccount'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const made = await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-old', scopes: ['read'] });
    const second = await pipes.createUserConnectedAccount({
      slug,
      userId,
      accessToken: 'at-2',
      connectionIntent: 'add',
    });
    const changed = await pipes.updateUserConnectedAccount({ slug, userId, accessToken: 'at-new', scopes: ['write'] });
    assert.deepEqual([changed.id, changed.scopes], [made.id, ['write']]);
    const read = await pipes.getAccessToken({ provider: slug, userId });
    assert.equal(read.accessToken.accessToken, 'at-new');
    const stopped = await pipes.updateUserConnectedAccount({ slug, userId, state: 'needs_reauthorization' });
    assert.equal(stopped.state, 'needs_reauthorization');
    const exact = await pipes.updateUserConnectedAccount({
      slug,
      userId,
      connectedAccountId: second.id,
      connectionIntent: 'reauthorize',
      accessToken: 'at-3',
    });
    assert.deepEqual([exact.id, exact.state], [second.id, 'connected']);
    return 'tokens, scopes, state; the compatibility one or an exact one';
  },

  async 'pipes.deleteUserConnectedAccount'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-1' });
    const second = await pipes.createUserConnectedAccount({
      slug,
      userId,
      accessToken: 'at-2',
      connectionIntent: 'add',
    });
    assert.equal(await pipes.deleteUserConnectedAccount({ slug, userId, connectedAccountId: second.id }), undefined);
    assert.equal((await pipes.getAccessToken({ provider: slug, userId })).accessToken.accessToken, 'at-1');
    await pipes.deleteUserConnectedAccount({ slug, userId });
    const gone = await pipes.getAccessToken({ provider: slug, userId });
    assert.deepEqual(gone, { active: false, error: 'not_installed' });
    return 'an exact one, then the compatibility one';
  },

  async 'pipes.listUserDataProviders'() {
    const [slug, keys, userId] = [await oauthIntegration(), await keyIntegration(), fresh('user')];
    const one = await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-1' });
    const two = await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-2', connectionIntent: 'add' });
    const found = async (options) => {
      const list = await pipes.listUserDataProviders({ userId, ...options });
      assert.equal(list.object, 'list');
      return list.data.find((row) => row.slug === slug && row.connectionOwner === 'user');
    };
    const singular = await found();
    assert.deepEqual(
      [singular.connectedAccount.id, singular.connectedAccounts.map(({ id }) => id)],
      [one.id, [one.id]],
    );
    assert.deepEqual([singular.name, singular.authMethods, singular.scopes], ['Acme', ['oauth'], SCOPES]);
    const plural = await found({ supportsMultipleConnections: true });
    assert.deepEqual(plural.connectedAccounts.map(({ id }) => id).toSorted(), [one.id, two.id].toSorted());
    assert.equal((await found({ organizationId: 'org_other' })).connectedAccount, null);
    const { data } = await pipes.listUserDataProviders({ userId });
    assert.equal(data.find((row) => row.slug === keys).connectedAccount, null, 'what is not connected is listed too');
    return 'one account or all, scoped';
  },

  async 'pipes.createOrganizationConnectedAccount'() {
    const [slug, organizationId, userId] = [await organizationIntegration(), fresh('org'), fresh('user')];
    const made = await pipes.createOrganizationConnectedAccount({
      slug,
      organizationId,
      userId,
      accessToken: 'at-shared',
      scopes: ['read'],
    });
    assert.deepEqual([made.organizationId, made.userId, made.state], [organizationId, null, 'connected']);
    const read = await pipes.getAccessToken({
      provider: slug,
      userId,
      organizationId,
      connectionOwner: 'organization',
    });
    assert.equal(read.accessToken.accessToken, 'at-shared');
    const taken = pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-2' });
    assert.equal((await refusal(taken)).name, 'ConflictException');
    return 'owned by the organization, not by the acting member';
  },

  async 'pipes.getOrganizationConnectedAccount'() {
    const [slug, organizationId, userId] = [await organizationIntegration(), fresh('org'), fresh('user')];
    const made = await pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-1' });
    assert.equal((await pipes.getOrganizationConnectedAccount({ slug, organizationId })).id, made.id);
    const exact = { slug, organizationId, connectedAccountId: made.id, supportsMultipleConnections: true };
    assert.equal((await pipes.getOrganizationConnectedAccount(exact)).id, made.id);
    const other = pipes.getOrganizationConnectedAccount({ ...exact, organizationId: fresh('org') });
    assert.equal((await refusal(other)).code, 'connected_account_not_found');
    return 'and not through another organization';
  },

  async 'pipes.updateOrganizationConnectedAccount'() {
    const [slug, organizationId, userId] = [await organizationIntegration(), fresh('org'), fresh('user')];
    const made = await pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-1' });
    const changed = await pipes.updateOrganizationConnectedAccount({
      slug,
      organizationId,
      userId,
      connectedAccountId: made.id,
      connectionIntent: 'reauthorize',
      accessToken: 'at-2',
    });
    assert.deepEqual([changed.id, changed.organizationId], [made.id, organizationId]);
    const read = await pipes.getAccessToken({
      provider: slug,
      userId,
      organizationId,
      connectionOwner: 'organization',
    });
    assert.equal(read.accessToken.accessToken, 'at-2');
    return 'an exact one';
  },

  async 'pipes.deleteOrganizationConnectedAccount'() {
    const [slug, organizationId, userId] = [await organizationIntegration(), fresh('org'), fresh('user')];
    await pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-1' });
    await pipes.deleteOrganizationConnectedAccount({ slug, organizationId });
    assert.equal((await refusal(pipes.getOrganizationConnectedAccount({ slug, organizationId }))).status, 404);
    return 'gone';
  },

  async 'pipes.listOrganizationDataProviders'() {
    const [slug, organizationId, userId] = [await organizationIntegration(), fresh('org'), fresh('user')];
    const usersOwn = await oauthIntegration();
    const made = await pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-1' });
    const { data } = await pipes.listOrganizationDataProviders({ organizationId, supportsMultipleConnections: true });
    const mine = data.find((row) => row.slug === slug);
    assert.deepEqual([mine.connectedAccount.id, mine.connectionOwner], [made.id, 'organization']);
    assert.ok(!data.some((row) => row.slug === usersOwn), 'what users own is not listed');
    return 'organization-owned ones only';
  },

  async 'pipes.connectedInABrowser'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const account = await connect(slug, userId);
    const read = await pipes.getAccessToken({ provider: slug, userId });
    assert.equal((await ownerOf(read.accessToken.accessToken)).sub, 'usr_ada');
    assert.deepEqual(account.scopes.toSorted(), SCOPES.toSorted());
    return "the provider takes the token for its person's";
  },
};
