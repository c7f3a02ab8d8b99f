// client.connection and client.events, as far as agents use them: connections in lists, and what happened to accounts.

import { assert, fresh, given, refusal } from './kit.mjs';

const OAUTH = 4;

export const checks = {
  'connection.listAppConnections': async ({ connection }) => {
    const { connections, totalSize } = await connection.listAppConnections({ query: given.connector });
    assert.deepEqual([connections.map((one) => one.keyId), totalSize], [[given.connector], 1]);
    assert.equal(connections[0].type, OAUTH);
    const first = await connection.listAppConnections({ pageSize: 1 });
    const second = await connection.listAppConnections({ pageSize: 1, pageToken: first.nextPageToken });
    assert.notEqual(second.connections[0].id, first.connections[0].id);
    const back = await connection.listAppConnections({ pageSize: 1, pageToken: second.prevPageToken });
    assert.equal(back.connections[0].id, first.connections[0].id);
    const refused = await refusal(connection.listAppConnections({ pageSize: 31 }));
    assert.equal(refused.constructor.name, 'ScalekitBadRequestException');
    return 'found, and in pages';
  },
  'actions.listConnections': async ({ actions }) => {
    const { connections, totalSize } = await actions.listConnections({ pageSize: 30 });
    assert.ok(connections.length >= 2 && totalSize === connections.length);
    const none = await actions.listConnections({ provider: 'NOSUCH' });
    assert.deepEqual([none.connections, none.totalSize], [[], 0]);
    return 'all, and by provider';
  },
  'events.listEventsPaginated': async ({ actions, events }) => {
    const identifier = fresh('user');
    const named = { connectionName: given.connector, identifier };
    const { connectedAccount } = await actions.getOrCreateConnectedAccount(named);
    const filter = { connectedAccountId: connectedAccount.id };
    const found = await events.listEventsPaginated(10, '', filter);
    assert.deepEqual(
      found.events.map((one) => [one.type, one.data.identifier]),
      [['connected_account.created', identifier]],
    );
    const first = await events.listEventsPaginated(1);
    const second = await events.listEventsPaginated(1, first.nextPageToken);
    assert.notEqual(second.events[0].id, first.events[0].id);
    assert.deepEqual((await events.listEventsPaginated(10, '', { eventTypes: ['user.created'] })).events, []);
    return 'of one account, in pages';
  },
};
