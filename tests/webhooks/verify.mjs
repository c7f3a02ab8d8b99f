// The verifier of @workos-inc/node, unmodified, on one delivery: as bytes of text, and as an object parsed before.
//
// Reads {"secret", "signature", "body"} on standard input; prints the event's id for each of the two.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(new URL('../node/package.json', import.meta.url));
const { WorkOS } = require('@workos-inc/node');
const { secret, signature, body } = JSON.parse(readFileSync(0, 'utf8'));
const workos = new WorkOS('unused');
for (const payload of [body, JSON.parse(body)]) {
  const event = await workos.webhooks.constructEvent({ payload, sigHeader: signature, secret });
  console.log(event.id);
}
