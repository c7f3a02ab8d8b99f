"""`client.organization`: made, found by either id, listed in pages, deleted."""

import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitBadRequestException, ScalekitConflictException, ScalekitNotFoundException
from scalekit.v1.organizations.organizations_pb2 import CreateOrganization

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House


@proves(
    "organization.create_organization",
    "organization.get_organization",
    "organization.get_organization_by_external_id",
    "organization.delete_organization",
)
def test_an_organization_is_made_found_and_deleted(house: House, client: ScalekitClient) -> None:
    external_id = house.new("org")
    made = client.organization.create_organization(
        CreateOrganization(display_name="Acme", external_id=external_id, metadata={"plan": "big"})
    )[0].organization
    found = client.organization.get_organization(made.id)[0].organization
    assert (found.display_name, found.external_id, dict(found.metadata)) == ("Acme", external_id, {"plan": "big"})
    assert client.organization.get_organization_by_external_id(external_id)[0].organization.id == made.id
    with pytest.raises(ScalekitConflictException):
        client.organization.create_organization(CreateOrganization(display_name="B", external_id=external_id))
    client.organization.delete_organization(made.id)
    with pytest.raises(ScalekitNotFoundException):
        client.organization.get_organization(made.id)


@proves("organization.list_organizations")
def test_pages_lead_through_the_list_and_back(house: House, client: ScalekitClient) -> None:
    mine = [
        client.organization.create_organization(CreateOrganization(display_name=house.new("Org")))[0].organization.id
        for _ in range(5)
    ]
    first = client.organization.list_organizations(page_size=2)[0]
    second = client.organization.list_organizations(page_size=2, page_token=first.next_page_token)[0]
    assert [item.id for item in (*first.organizations, *second.organizations)] == mine[:0:-1]
    assert max(map(len, (first.next_page_token, second.prev_page_token))) <= 32
    back = client.organization.list_organizations(page_size=2, page_token=second.prev_page_token)[0]
    assert [item.id for item in back.organizations] == mine[:2:-1]
    assert first.total_size >= 5 and not first.prev_page_token
    for token in ("made-up", first.next_page_token[:-2] + "AA", "é"):
        with pytest.raises(ScalekitBadRequestException):
            client.organization.list_organizations(page_size=2, page_token=token)
