// client.actions: connected accounts. Each check runs over TLS and over clear HTTP/2.

import { assert, fresh, given, refusal } from './kit.mjs';

const ACTIVE = 1;
const PENDING_AUTH = 3;
const tokens = () => ({
  details: { case: 'oauthToken', value: { accessToken: fresh('at'), refreshToken: 'rt', scopes: ['read'] } },
});

export const checks = {
  'actions.createConnectedAccount': async ({ actions }) => {
    const identifier = fresh('user');
    const asked = { connectionName: given.connector, identifier, authorizationDetails: tokens() };
    const { connectedAccount: made } = await actions.createConnectedAccount(asked);
    assert.equal(made.status, ACTIVE);
    assert.equal(made.authorizationDetails.details.value.accessToken, asked.authorizationDetails.details.value.accessToken);
    const refused = await refusal(actions.createConnectedAccount(asked));
    assert.equal(refused.errorCode ?? refused._errorCode, 'ALREADY_EXISTS');
    return 'active with tokens; a second one is refused';
  },

  'actions.getConnectedAccount': async ({ actions }) => {
    const identifier = fresh('user');
    const authorizationDetails = tokens();
    await actions.createConnectedAccount({ connectionName: given.connector, identifier, authorizationDetails });
    const { connectedAccount: found } = await actions.getConnectedAccount({ connectionName: given.connector, identifier });
    assert.equal(found.authorizationDetails.details.value.accessToken, authorizationDetails.details.value.accessToken);
    const byId = await actions.getConnectedAccount({ connectedAccountId: found.id });
    assert.equal(byId.connectedAccount.identifier, identifier);
    const none = await refusal(actions.getConnectedAccount({ connectionName: given.connector, identifier: 'nobody' }));
    assert.equal(none.constructor.name, 'ScalekitNotFoundException');
    return 'by connector and identifier, and by id';
  },

  'actions.getOrCreateConnectedAccount': async ({ actions }) => {
    const identifier = fresh('user');
    const asked = { connectionName: given.connector, identifier };
    const { connectedAccount: first } = await actions.getOrCreateConnectedAccount(asked);
    const { connectedAccount: second } = await actions.getOrCreateConnectedAccount(asked);
    assert.equal(first.status, PENDING_AUTH);
    assert.equal(first.id, second.id);
    return 'made once, waiting for its owner';
  },
};
