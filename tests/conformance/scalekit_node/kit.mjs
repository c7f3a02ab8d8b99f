// What the checks share: two clients (TLS, and clear HTTP/2), and what the test has set up for them.

import assert from 'node:assert/strict';

import sdk from '../../node/node_modules/@scalekit-sdk/node/lib/index.js';

const { ScalekitClient } = sdk;
export const given = JSON.parse(process.env.HOLDFAST_TEST_SCALEKIT);

export const clientOf = (url) => new ScalekitClient(url, given.clientId, given.clientSecret);
export const clients = { tls: clientOf(given.secure), clear: clientOf(given.clear) };

export const transportOf = (client) => (client === clients.tls ? 'tls' : 'clear');

let number = 0;
// Names that no other check uses.
export const fresh = (what) => `${what}_${(number += 1)}_${process.pid}`;

// What a rejected call was rejected with; fails if it was not.
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was expected to be refused' });
}

export { assert, sdk };
