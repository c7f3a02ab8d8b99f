// The SDK's error classes: each is what its users expect for that status, with our code and a request id.

import {
  assert,
  clientOf,
  connect,
  definition,
  fresh,
  keyIntegration,
  oauthIntegration,
  refusal,
  RETURN_TO,
  server,
  switchSandbox,
  throttled,
  workos,
} from './kit.mjs';

const { pipes } = workos;
const pause = (seconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
  });
const OURS = new Set([
  'UnauthorizedException',
  'NotFoundException',
  'ConflictException',
  'UnprocessableEntityException',
  'BadRequestException',
  'GenericServerException',
  'RateLimitExceededException',
]);

export const checks = {
  async 'errors.UnauthorizedException'() {
    const wrong = clientOf({ url: server.url, key: 'sk_wrong' });
    const error = await refusal(wrong.pipes.listDataIntegrations());
    expect(error, 'UnauthorizedException', 401);
    return 'a wrong API key';
  },

  async 'errors.NotFoundException'() {
    const error = await refusal(pipes.getDataIntegration({ slug: 'nobody' }));
    expect(error, 'NotFoundException', 404, 'entity_not_found');
    assert.match(error.message, /nobody/);
    const slug = await oauthIntegration();
    const account = pipes.getUserConnectedAccount({
      slug,
      userId: fresh('user'),
      connectedAccountId: 'data_installation_x',
    });
    expect(await refusal(account), 'NotFoundException', 404, 'connected_account_not_found');
    expect(await refusal(workos.get('/nothing/here')), 'NotFoundException', 404, 'entity_not_found');
    return 'with code and message';
  },

  async 'errors.ConflictException'() {
    const slug = await oauthIntegration();
    const twice = pipes.createDataIntegration({
      provider: slug,
      authMethods: ['oauth'],
      credentials: { type: 'organization' },
    });
    expect(await refusal(twice), 'ConflictException', 409, 'conflict');
    const userId = fresh('user');
    await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-1' });
    await pipes.createUserConnectedAccount({ slug, userId, accessToken: 'at-2', connectionIntent: 'add' });
    const unclear = await refusal(pipes.getAccessToken({ provider: slug, userId, supportsMultipleConnections: true }));
    expect(unclear, 'ConflictException', 409, 'account_selection_required');
    return 'with code';
  },

  async 'errors.UnprocessableEntityException'() {
    const slug = await keyIntegration();
    const wrongKind = await refusal(pipes.getAccessToken({ provider: slug, userId: fresh('user') }));
    expect(wrongKind, 'UnprocessableEntityException', 422, 'auth_method_mismatch');
    assert.match(wrongKind.message, /api_key/);
    const missing = await refusal(pipes.updateDataIntegrationApiKey({ slug, userId: fresh('user') }));
    expect(missing, 'UnprocessableEntityException', 422, 'invalid_request_parameters');
    // The class keeps no `errors`; it turns their codes into its message.
    assert.match(missing.message, /must be met:\s+required/);
    return 'with code and errors';
  },

  async 'errors.BadRequestException'() {
    const error = await refusal(
      pipes.createDataIntegration({
        provider: 'Not A Slug',
        credentials: { type: 'organization' },
        customProvider: definition(),
      }),
    );
    expect(error, 'BadRequestException', 400, 'invalid_request_parameters');
    assert.deepEqual(error.errors, [{ field: 'provider', code: 'invalid_slug' }]);
    return 'with code and errors';
  },

  async 'errors.GenericServerException'() {
    const unknown = workos.post('/data-integrations/finish', { connect_code: 'no', code_verifier: 'v'.repeat(43) });
    expect(await refusal(unknown), 'GenericServerException', 400, 'invalid_connect_code');
    const slug = await oauthIntegration();
    const elsewhere = pipes.authorizeDataIntegration({ slug, userId: fresh('user'), returnTo: 'https://evil.example' });
    expect(await refusal(elsewhere), 'GenericServerException', 400, 'invalid_return_to');

    const userId = fresh('user');
    await switchSandbox({ access_lifetime: 1 });
    await connect(slug, userId);
    await pause(1.1);
    await switchSandbox({ access_lifetime: 3600, fail_next: { status: 503, count: 2 } });
    const away = await refusal(pipes.getAccessToken({ provider: slug, userId }));
    await switchSandbox({ fail_next: null });
    expect(away, 'GenericServerException', 503, 'provider_unavailable');
    return '400 without errors, 503 while the provider is away';
  },

  async 'errors.GenericServerException:403'() {
    const organizationId = fresh('org');
    const member = { organizationId, userId: fresh('user') };
    await workos.userManagement.createOrganizationMembership(member);
    const slug = await oauthIntegration();
    const stranger = pipes.authorizeDataIntegration({
      slug,
      userId: fresh('user'),
      organizationId,
      returnTo: RETURN_TO,
    });
    expect(await refusal(stranger), 'GenericServerException', 403, 'policy_denied');
    return 'a user who is no member';
  },

  async 'errors.RateLimitExceededException'() {
    const slow = clientOf(throttled);
    let error;
    for (let count = 0; count < 10 && error === undefined; count += 1) {
      error = await slow.pipes.listDataIntegrations().then(
        () => undefined,
        (raised) => raised,
      );
    }
    expect(error, 'RateLimitExceededException', 429);
    assert.ok(error.retryAfter >= 1 && error.retryAfter <= 60, `retryAfter is ${error.retryAfter}`);
    return `retryAfter in seconds`;
  },

  // OauthException and ParseError mean that a body was not what this SDK can read.
  async 'errors.neverOauthOrParse'() {
    const slug = await oauthIntegration();
    const [user, path] = [{ user_id: fresh('user') }, `/data-integrations/${slug}`];
    const attempts = [
      () => workos.post(`${path}/authorize`, { ...user, return_to: '//evil.example' }),
      () => workos.post(`${path}/authorize`, { ...user, return_to: 'https://evil.example' }),
      () => workos.post(`${path}/authorize`, { user_id: 7 }),
      () => workos.post(`${path}/authorize`, [user]),
      () => workos.post(`${path}/authorize`, { ...user, connection_intent: 'reauthorize' }),
      () => workos.post(`${path}/token`, {}),
      () => workos.post(`${path}/token`, { ...user, connection_owner: 'organization' }),
      () => workos.post(`${path}/api-key`, { ...user, secret: 'x', connection_intent: 'add' }),
      () => workos.post('/data-integrations', { provider: 'github' }),
      () => workos.post('/data-integrations', { provider: 'nobody', credentials: { type: 'organization' } }),
      () => workos.post('/data-integrations', 'x'.repeat(2_000_000)),
      () => workos.post('/data-integrations/finish', { connect_code: 'x', code_verifier: 'too short' }),
      () => workos.put(path, { credentials: { type: 'custom' }, api_key: { secret: 'x', user_id: 'y' } }),
      () => workos.put(`/organizations/org_1/data_integration_configurations/${slug}`, {}),
      () => workos.patch(path, {}),
      () => workos.get('/data-integrations', { query: { limit: 101 } }),
      () => workos.get('/data-integrations', { query: { after: 'elsewhere_1' } }),
      () => workos.get('/events', {}),
      () => workos.get('/events', { query: { events: 'pipes.no_such.event' } }),
      () => workos.delete(`${path}/nothing`),
    ];
    for (const attempt of attempts) {
      const error = await refusal(attempt());
      assert.ok(OURS.has(error.name), `${attempt}: ${error.name} ${error.message}`);
      assert.ok(error.requestID.startsWith('req_'), `${attempt}: no request id`);
    }
    return `${attempts.length} bad requests`;
  },
};

function expect(error, name, status, code) {
  assert.deepEqual([error.name, error.status], [name, status], error.message);
  if (code) assert.equal(error.code, code);
  assert.match(error.requestID, /^req_[0-9A-Z]{26}$/);
}
