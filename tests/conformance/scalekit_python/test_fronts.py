"""Both SDKs over REST and gRPC on one https port: through the terminators of docs/tls.md, and on pyvoy."""

import ssl
from collections.abc import Iterator

import httpx2
import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitBadRequestException, ScalekitNotFoundException
from workos import WorkOSClient

from tests.conformance.fronts import FRONTS, Front, started
from tests.conformance.scalekit_house import House
from tests.conformance.scalekit_python.listing import LIST, framed
from tests.parts.h2 import h2_request


@pytest.fixture(scope="module", params=FRONTS)
def front(request: pytest.FixtureRequest, house: House) -> Iterator[Front]:
    running = started(str(request.param), house)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(house: House, front: Front) -> ScalekitClient:
    return ScalekitClient(front.base_url, house.client_id, house.client_secret)


def test_grpc_and_its_errors_details_come_through(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    client.actions.create_connected_account(connector, identifier)
    assert client.actions.get_connected_account(connector, identifier).connected_account.status == "PENDING_AUTH"
    with pytest.raises(ScalekitNotFoundException) as unknown:
        client.actions.get_connected_account(connector, house.new("nobody"))
    assert unknown.value.error_code == "RESOURCE_NOT_FOUND"
    with pytest.raises(ScalekitBadRequestException):
        client.actions.get_connected_account("no/such/name", identifier)


def test_a_proxied_call_keeps_its_header_with_an_underscore(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.own_sandbox(), house.new("user")
    tokens = house.granted()
    house.expiring(connector, identifier, tokens.access, tokens.refresh, 3600)
    reply = client.actions.request(connector, identifier, "/echo/widgets", method="POST", body={"n": "x" * 200_000})
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-holdfast-upstream-status"] == "200"


def test_a_signed_in_again_sdk_sends_two_authorizations_and_is_let_in(house: House, front: Front) -> None:
    first, second = house.new_client(), house.new_client()
    connector, identifier = house.connector(), house.new("user")
    client = ScalekitClient(front.base_url, *first)
    client.actions.create_connected_account(connector, identifier)
    client.core_client.client_id, client.core_client.client_secret = second
    house.revoke_client(first[0])
    for _ in range(3):
        found = client.actions.get_connected_account(connector, identifier).connected_account
        assert found.status == "PENDING_AUTH"


@pytest.mark.parametrize(("first", "then"), [("good", "stale"), ("stale", "good"), ("stale", "older")])
def test_either_of_two_authorizations_is_enough_and_none_is_not(
    house: House, front: Front, first: str, then: str
) -> None:
    texts = {"good": house.clear.api_key, "stale": "sk_stale", "older": "sk_older"}
    headers = [(b"authorization", f"Bearer {texts[which]}".encode()) for which in (first, then)]
    headers += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    reply = h2_request(front.port, b"POST", LIST, headers, framed(), house.authority)
    assert reply.grpc_status == (0 if "good" in (first, then) else 16)


def test_rest_is_served_over_both_versions_of_http(house: House, front: Front) -> None:
    bearer = {"authorization": f"Bearer {house.clear.api_key}"}
    trust = ssl.create_default_context(cafile=str(house.authority))
    one = httpx2.get(f"{front.base_url}/data-integrations", headers=bearer, verify=trust, trust_env=False)
    assert (one.status_code, one.http_version) == (200, "HTTP/1.1")
    raw = [(name.encode(), value.encode()) for name, value in bearer.items()]
    two = h2_request(front.port, b"GET", b"/data-integrations", raw, b"", house.authority)
    assert (two.status, two.body) == (200, one.content)


def test_the_workos_sdk_reads_a_token_through_it(house: House, front: Front) -> None:
    connector, user, tokens = house.connector(), house.new("user"), house.granted()
    house.expiring(connector, user, tokens.access, tokens.refresh, 3600)
    trust = ssl.create_default_context(cafile=str(house.authority))
    with httpx2.Client(verify=trust, trust_env=False) as web:
        workos = WorkOSClient(api_key=house.clear.api_key, client_id="any", base_url=front.base_url, http_client=web)
        reply = workos.pipes.get_access_token(connector, user_id=user)
    assert reply.active and reply.access_token is not None
    assert reply.access_token.access_token == tokens.access
