// Methods of @scalekit-sdk/node, unmodified, against two running servers: with TLS, and in clear.
//
// Reads HOLDFAST_TEST_SCALEKIT, {"secure", "clear", "clientId", "clientSecret", "connector", "keyed", "waiting",
// "connected"}; the last two name an account per transport, waiting for its user's verification and connected. Prints a line of JSON per
// method and transport: {"method", "passed", "detail"}.

import * as accounts from './accounts.mjs';
import * as events from './events.mjs';
import * as keeping from './keeping.mjs';
import { clients } from './kit.mjs';
import * as organizations from './organizations.mjs';

for (const { checks } of [accounts, keeping, organizations, events]) {
  for (const [method, check] of Object.entries(checks)) {
    for (const [transport, client] of Object.entries(clients)) {
      let outcome;
      try {
        outcome = { passed: true, detail: `${transport}: ${await check(client)}` };
      } catch (error) {
        outcome = { passed: false, detail: `${transport}: ${error.name}: ${error.message}`.slice(0, 500) };
      }
      console.log(JSON.stringify({ method, ...outcome }));
    }
  }
}
process.exit(0); // the SDK's HTTP/2 sessions would keep the process for minutes
