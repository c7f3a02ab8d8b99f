// What stands around Pipes: events, webhook endpoints, memberships.

import {
  assert,
  connect,
  consent,
  fresh,
  isRecent,
  oauthIntegration,
  RETURN_TO,
  refusal,
  switchSandbox,
  workos,
} from './kit.mjs';

const { events, pipes, userManagement, webhooks, widgets } = workos;

export const checks = {
  async 'events.listEvents'() {
    const [slug, userId] = [await oauthIntegration(), fresh('user')];
    const account = await connect(slug, userId);
    await pipes.updateUserConnectedAccount({ slug, userId, state: 'needs_reauthorization' });
    await pipes.deleteUserConnectedAccount({ slug, userId });
    await switchSandbox({ deny_next: 1 });
    const { url } = await pipes.authorizeDataIntegration({ slug, userId, returnTo: RETURN_TO });
    assert.equal((await consent(url)).searchParams.get('error'), 'access_denied');

    const names = ['connected', 'reauthorization_needed', 'disconnected', 'connection_failed'].map(
      (verb) => `pipes.connected_account.${verb}`,
    );
    const mine = await everyEvent({ events: names, limit: 100 }, (event) => event.data.userId === userId);
    assert.deepEqual(
      mine.map(({ event }) => event),
      names,
      'oldest first',
    );
    const [connected, needed, disconnected, failed] = mine;
    assert.match(connected.id, /^event_[0-9A-Z]{26}$/);
    assert.ok(isRecent(new Date(connected.createdAt)));
    const { id, providerSlug, state, scopes } = connected.data;
    assert.deepEqual([id, providerSlug, state, scopes], [account.id, slug, 'connected', account.scopes]);
    assert.equal(connected.data.dataIntegrationId, (await pipes.getDataIntegration({ slug })).id);
    assert.deepEqual([needed.data.state, disconnected.data.state], ['needs_reauthorization', 'disconnected']);
    assert.deepEqual([failed.data.object, failed.data.providerError], ['connection_failed', 'access_denied']);
    const page = await events.listEvents({ events: names, limit: 1, after: connected.id });
    assert.equal(page.data.length, 1);
    assert.ok(page.data[0].id > connected.id, 'after is exclusive');
    const none = await events.listEvents({ events: names, rangeEnd: '2020-01-01T00:00:00Z' });
    assert.deepEqual(none.data, []);
    const inOrganization = await events.listEvents({ events: names, organizationId: fresh('org') });
    assert.deepEqual(inOrganization.data, []);
    return 'a whole life of an account; after, limit, range, organization';
  },

  async 'widgets.createToken'() {
    const [userId, organizationId] = [fresh('user'), fresh('org')];
    await userManagement.createOrganizationMembership({ userId, organizationId });
    const token = await widgets.createToken({ userId, organizationId, scopes: ['widgets:pipes:manage'] });
    const claims = JSON.parse(atob((token.token ?? token).split('.')[1]));
    assert.deepEqual([claims.sub, claims.org_id, claims.permissions], [userId, organizationId, ['widgets:pipes:manage']]);
    return 'a token whose payload plain atob decodes';
  },

  async 'webhooks.createWebhookEndpoint'() {
    const endpointUrl = `https://example.com/${fresh('hook')}`;
    const made = await webhooks.createWebhookEndpoint({ endpointUrl, events: ['pipes.connected_account.connected'] });
    assert.match(made.id, /^we_/);
    assert.match(made.secret, /^whsec_.{20,}/);
    assert.deepEqual([made.endpointUrl, made.status], [endpointUrl, 'enabled']);
    assert.deepEqual(made.events, ['pipes.connected_account.connected']);
    assert.ok(isRecent(made.createdAt) && isRecent(made.updatedAt));
    const twice = await refusal(webhooks.createWebhookEndpoint({ endpointUrl, events: ['x'] }));
    assert.deepEqual([twice.name, twice.code], ['ConflictException', 'duplicate_endpoint']);
    const bad = await refusal(webhooks.createWebhookEndpoint({ endpointUrl: 'ftp://example.com', events: ['x'] }));
    assert.deepEqual([bad.name, bad.code], ['UnprocessableEntityException', 'invalid_url']);
    return 'with its secret; once per URL';
  },

  async 'webhooks.listWebhookEndpoints'() {
    const made = [];
    for (let count = 0; count < 12; count += 1) {
      const endpointUrl = `https://example.com/${fresh('hook')}`;
      made.push((await webhooks.createWebhookEndpoint({ endpointUrl, events: ['x'] })).id);
    }
    const first = await webhooks.listWebhookEndpoints();
    assert.deepEqual(
      first.data.map(({ id }) => id),
      made.slice(-10).reverse(),
      'ten, newest first',
    );
    const all = await first.autoPagination();
    assert.ok(made.every((id) => all.some((endpoint) => endpoint.id === id)));
    const page = await webhooks.listWebhookEndpoints({ limit: 3, after: first.data[0].id });
    assert.deepEqual(
      page.data.map(({ id }) => id),
      made.slice(-4, -1).reverse(),
    );
    return 'pages';
  },

  async 'webhooks.updateWebhookEndpoint'() {
    const made = await webhooks.createWebhookEndpoint({
      endpointUrl: `https://example.com/${fresh('hook')}`,
      events: ['x'],
    });
    const changed = await webhooks.updateWebhookEndpoint({ id: made.id, status: 'disabled', events: ['y'] });
    assert.deepEqual([changed.status, changed.events, changed.endpointUrl], ['disabled', ['y'], made.endpointUrl]);
    assert.equal(changed.secret, made.secret);
    assert.ok(changed.updatedAt >= made.updatedAt);
    const none = await refusal(webhooks.updateWebhookEndpoint({ id: 'we_nobody', status: 'enabled' }));
    assert.equal(none.name, 'NotFoundException');
    return 'keeps its secret';
  },

  async 'webhooks.deleteWebhookEndpoint'() {
    const made = await webhooks.createWebhookEndpoint({
      endpointUrl: `https://example.com/${fresh('hook')}`,
      events: ['x'],
    });
    await webhooks.deleteWebhookEndpoint({ id: made.id });
    const all = await (await webhooks.listWebhookEndpoints()).autoPagination();
    assert.ok(!all.some(({ id }) => id === made.id));
    assert.equal((await refusal(webhooks.deleteWebhookEndpoint({ id: made.id }))).name, 'NotFoundException');
    return 'once';
  },

  // From here on memberships are kept, and so are enforced: keep these after the checks of organizations' accounts.
  async 'userManagement.createOrganizationMembership'() {
    const [organizationId, userId] = [fresh('org'), fresh('user')];
    const made = await userManagement.createOrganizationMembership({ organizationId, userId, roleSlug: 'admin' });
    assert.match(made.id, /^om_/);
    assert.deepEqual([made.organizationId, made.userId, made.status], [organizationId, userId, 'active']);
    assert.equal(made.role.slug, 'admin');
    const slug = await oauthIntegration({ ownership: 'organization' });
    const shared = await pipes.createOrganizationConnectedAccount({
      slug,
      organizationId,
      userId,
      accessToken: 'at-1',
    });
    assert.equal(shared.state, 'connected');
    const stranger = pipes.getAccessToken({
      provider: slug,
      organizationId,
      userId: fresh('user'),
      connectionOwner: 'organization',
    });
    assert.equal((await refusal(stranger)).status, 403);
    return 'a member may use what the organization shares, a stranger may not';
  },

  async 'userManagement.getOrganizationMembership'() {
    const made = await userManagement.createOrganizationMembership({
      organizationId: fresh('org'),
      userId: fresh('user'),
    });
    const found = await userManagement.getOrganizationMembership(made.id);
    assert.deepEqual([found.id, found.userId], [made.id, made.userId]);
    return 'by id';
  },

  async 'userManagement.listOrganizationMemberships'() {
    const organizationId = fresh('org');
    const made = [];
    for (let count = 0; count < 3; count += 1) {
      made.push((await userManagement.createOrganizationMembership({ organizationId, userId: fresh('user') })).id);
    }
    const all = await (await userManagement.listOrganizationMemberships({ organizationId })).autoPagination();
    assert.deepEqual(all.map(({ id }) => id).toSorted(), made.toSorted());
    return 'of an organization';
  },

  async 'userManagement.updateOrganizationMembership'() {
    const made = await userManagement.createOrganizationMembership({
      organizationId: fresh('org'),
      userId: fresh('user'),
    });
    const changed = await userManagement.updateOrganizationMembership(made.id, { roleSlug: 'owner' });
    assert.equal(changed.role.slug, 'owner');
    return 'its role';
  },

  async 'userManagement.deactivateOrganizationMembership'() {
    const { slug, organizationId, userId, membership } = await sharedAccount();
    const inactive = await userManagement.deactivateOrganizationMembership(membership.id);
    assert.equal(inactive.status, 'inactive');
    const account = await pipes.getOrganizationConnectedAccount({ slug, organizationId });
    assert.equal(account.state, 'needs_reauthorization', 'the one who connected it has left');
    const read = pipes.getAccessToken({ provider: slug, organizationId, userId, connectionOwner: 'organization' });
    assert.equal((await refusal(read)).status, 403);
    return 'takes the credentials along that the member brought';
  },

  async 'userManagement.reactivateOrganizationMembership'() {
    const { slug, organizationId, userId, membership } = await sharedAccount();
    await userManagement.deactivateOrganizationMembership(membership.id);
    const active = await userManagement.reactivateOrganizationMembership(membership.id);
    assert.equal(active.status, 'active');
    const read = await pipes.getAccessToken({
      provider: slug,
      organizationId,
      userId,
      connectionOwner: 'organization',
    });
    assert.deepEqual(read, { active: false, error: 'needs_reauthorization' });
    return 'brings the member back, not the credentials';
  },

  async 'userManagement.deleteOrganizationMembership'() {
    const { slug, organizationId, membership } = await sharedAccount();
    await userManagement.deleteOrganizationMembership(membership.id);
    assert.equal((await refusal(userManagement.getOrganizationMembership(membership.id))).status, 404);
    assert.equal(
      (await pipes.getOrganizationConnectedAccount({ slug, organizationId })).state,
      'needs_reauthorization',
    );
    return 'as deactivated';
  },
};

async function everyEvent(asked, wanted) {
  const found = [];
  for (let after; ;) {
    const page = await events.listEvents({ ...asked, after });
    found.push(...page.data.filter(wanted));
    after = page.listMetadata.after;
    if (!after) return found;
  }
}

async function sharedAccount() {
  const [slug, organizationId, userId] = [
    await oauthIntegration({ ownership: 'organization' }),
    fresh('org'),
    fresh('user'),
  ];
  const membership = await userManagement.createOrganizationMembership({ organizationId, userId });
  await pipes.createOrganizationConnectedAccount({ slug, organizationId, userId, accessToken: 'at-1' });
  return { slug, organizationId, userId, membership };
}
