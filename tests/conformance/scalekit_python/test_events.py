"""`client.events`: what happened to accounts, at whichever door."""

import pytest
from google.protobuf.json_format import MessageToDict
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitBadRequestException
from scalekit.v1.events.events_pb2 import ConnectedAccount, EventFilter

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House


@proves("events.list_events_paginated")
def test_an_accounts_life_is_listed_newest_first_and_in_pages(house: House, client: ScalekitClient) -> None:
    connector, user, tokens = house.connector(), house.new("user"), house.granted()
    account = client.actions.get_or_create_connected_account(connector, user).connected_account
    given = {"oauth_token": {"access_token": tokens.access, "refresh_token": tokens.refresh}}
    client.actions.create_connected_account(connector, house.new("user"), given)
    client.actions.delete_connected_account(connector, user)
    mine = EventFilter(connected_account_id=account.id)
    events = client.events.list_events_paginated(filter=mine)[0].events
    assert [one.type for one in events] == ["connected_account.deleted", "connected_account.created"]
    assert all(one.id.startswith("evt_") and one.object == ConnectedAccount for one in events)
    told = MessageToDict(events[-1].data)
    assert (told["id"], told["identifier"], told["connection_name"]) == (account.id, user, connector)
    assert (told["status"], told["authorization_type"]) == ("PENDING_AUTH", "OAUTH")
    first = client.events.list_events_paginated(page_size=1, filter=mine)[0]
    second = client.events.list_events_paginated(page_size=1, page_token=first.next_page_token, filter=mine)[0]
    assert [*first.events, *second.events] == list(events) and not second.next_page_token
    back = client.events.list_events_paginated(page_size=1, page_token=second.prev_page_token, filter=mine)[0]
    assert back.events == first.events
    with pytest.raises(ScalekitBadRequestException):
        client.events.list_events_paginated(page_size=1, page_token=first.next_page_token)
