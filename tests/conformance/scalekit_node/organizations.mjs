// client.organization: the calls that clients make before they connect anybody.

import { assert, fresh, refusal } from './kit.mjs';

export const checks = {
  'organization.createOrganization': async ({ organization }) => {
    const { organization: made } = await organization.createOrganization('Acme', { externalId: fresh('org') });
    assert.match(made.id, /^org_/);
    assert.equal(made.displayName, 'Acme');
    return made.id;
  },
  'organization.getOrganization': async ({ organization }) => {
    const externalId = fresh('org');
    const { organization: made } = await organization.createOrganization('Acme', { externalId });
    assert.equal((await organization.getOrganization(made.id)).organization.externalId, externalId);
    return 'by id';
  },
  'organization.getOrganizationByExternalId': async ({ organization }) => {
    const externalId = fresh('org');
    const { organization: made } = await organization.createOrganization('Acme', { externalId });
    assert.equal((await organization.getOrganizationByExternalId(externalId)).organization.id, made.id);
    return 'by external id';
  },
  'organization.listOrganization': async ({ organization }) => {
    const { organization: made } = await organization.createOrganization('Acme');
    const first = await organization.listOrganization({ pageSize: 1 });
    assert.equal(first.organizations[0].id, made.id);
    const second = await organization.listOrganization({ pageSize: 1, pageToken: first.nextPageToken });
    assert.notEqual(second.organizations[0].id, made.id);
    return 'in pages';
  },
  'organization.deleteOrganization': async ({ organization }) => {
    const { organization: made } = await organization.createOrganization('Acme');
    await organization.deleteOrganization(made.id);
    assert.equal((await refusal(organization.getOrganization(made.id))).constructor.name, 'ScalekitNotFoundException');
    return 'gone';
  },
};
