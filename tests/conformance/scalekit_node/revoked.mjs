// A long-lived client of @scalekit-sdk/node, unmodified, whose platform token is revoked under it.
//
// Reads HOLDFAST_TEST_SCALEKIT, {"secure", "clear", "connector", "clients", "revoke"}: by transport, the first and the
// second client id with its secret; and the command that revokes the client whose id is appended. Prints a line of JSON
// per transport with what came of it.

import { execFileSync } from 'node:child_process';

import { fresh, given, refusal, sdk } from './kit.mjs';

delete process.env.HOLDFAST_TEST_SCALEKIT; // the command refuses settings that it does not know
const [program, ...revoke] = given.revoke;
for (const transport of ['secure', 'clear']) {
  const [first, second] = given.clients[transport];
  const client = new sdk.ScalekitClient(given[transport], ...first);
  const { actions, coreClient } = client;
  const where = { connectionName: given.connector, identifier: fresh(transport) };
  const { connectedAccount: made } = await actions.createConnectedAccount(where);
  const before = coreClient.accessToken;
  [coreClient.clientId, coreClient.clientSecret] = second;
  execFileSync(program, [...revoke, first[0]]);
  // This release signs in anew at gRPC calls only.
  const proxied = await refusal(actions.request({ ...where, path: '/echo' }));
  const found = await Promise.all(Array.from({ length: 5 }, () => actions.getConnectedAccount(where)));
  const after = coreClient.accessToken;
  const pending = await refusal(actions.request({ ...where, path: '/echo' }));
  execFileSync(program, [...revoke, second[0]]);
  const over = await refusal(actions.getConnectedAccount(where));
  console.log(
    JSON.stringify({
      proxied: proxied.constructor.name,
      same: found.every(({ connectedAccount }) => connectedAccount.id === made.id),
      anew: after !== before,
      pending: pending.constructor.name,
      over: over.response?.status, // of its sign-in: this release lets axios's error through
    }),
  );
}
process.exit(0); // the SDK's HTTP/2 sessions would keep the process for minutes
