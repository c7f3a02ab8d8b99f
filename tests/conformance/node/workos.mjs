// Every Pipes method of @workos-inc/node, unmodified, against a running Holdfast.
//
// Reads HOLDFAST_TEST_SERVERS, {"server": {"url", "key"}, "throttled": {...}}, the second with a small rate limit.
// Prints one line of JSON per method: {"method", "passed", "detail"}; then {"sdk_methods": [...]}, what the SDK has.

import * as accounts from './accounts.mjs';
import * as credentials from './credentials.mjs';
import * as errors from './errors.mjs';
import * as integrations from './integrations.mjs';
import { workos } from './kit.mjs';
import * as others from './others.mjs';

const SERVICES = ['pipes', 'events', 'webhooks', 'widgets'];
// Helpers for received webhooks, which make no request.
const LOCAL = new Set([
  'constructEvent',
  'verifyHeader',
  'computeSignature',
  'getTimestampAndSignatureHash',
  'parseVerifiedPayload',
]);

// One after the other: a check may turn the sandbox's switches.
for (const { checks } of [integrations, accounts, credentials, others, errors]) {
  for (const [method, check] of Object.entries(checks)) {
    let outcome;
    try {
      outcome = { passed: true, detail: await check() };
    } catch (error) {
      outcome = { passed: false, detail: `${error.name}: ${error.message}`.slice(0, 500) };
    }
    console.log(JSON.stringify({ method, ...outcome }));
  }
}

const methods = SERVICES.flatMap((service) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(workos[service]))
    .filter(
      (name) =>
        typeof Object.getOwnPropertyDescriptor(Object.getPrototypeOf(workos[service]), name).value === 'function',
    )
    .filter((name) => name !== 'constructor' && !LOCAL.has(name))
    .map((name) => `${service}.${name}`),
);
console.log(JSON.stringify({ sdk_methods: methods }));
