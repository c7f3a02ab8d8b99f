"""The door's table of errors, as the official SDK meets it: over HTTP, from a real server."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
import uvicorn
import workos
from workos import WorkOSClient
from workos import _errors as sdk

import holdfast
from holdfast import errors
from holdfast.api.workos.faults import STATUSES, render
from holdfast.errors import HoldfastError, Invalid
from tests.api.demo_door import demo_door


class _Server(uvicorn.Server):
    """A server in a thread of its own, as the SDK blocks the thread it is called from."""

    def start(self) -> str:
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        while not self.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self.should_exit = True
        self._thread.join(10)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = _Server(uvicorn.Config(demo_door(), port=0, log_level="warning", lifespan="off"))
    yield server.start()
    server.stop()


def sdk_client(base_url: str, key: str = "sk_demo") -> WorkOSClient:
    return WorkOSClient(api_key=key, client_id="client", base_url=base_url, max_retries=0)


def failure(base_url: str, slug: str, key: str = "sk_demo") -> sdk.APIError:
    with pytest.raises(sdk.APIError) as caught:
        sdk_client(base_url, key).pipes.get_data_integration(slug)
    return caught.value


@pytest.mark.parametrize(
    ("slug", "kind", "status", "code"),
    [
        ("invalid", workos.BadRequestError, 400, "invalid_return_to"),
        ("unauthenticated", workos.AuthenticationError, 401, "unauthenticated"),
        ("refused", workos.AuthorizationError, 403, "policy_denied"),
        ("absent", workos.NotFoundError, 404, "entity_not_found"),
        ("taken", workos.ConflictError, 409, "account_selection_required"),
        ("unprocessable", workos.UnprocessableEntityError, 422, "invalid_request_parameters"),
        ("too-many", workos.RateLimitExceededError, 429, "rate_limit_exceeded"),
        ("away", workos.ServerError, 503, "provider_unavailable"),
        ("bug", workos.ServerError, 500, "internal_error"),
        ("misconfigured", workos.ServerError, 500, "internal_error"),
    ],
)
def test_the_sdk_raises_the_class_that_belongs_to_the_failure(
    base_url: str, slug: str, kind: type[sdk.APIError], status: int, code: str
) -> None:
    raised = failure(base_url, slug)
    assert type(raised) is kind
    assert (raised.status_code, raised.code) == (status, code)
    assert raised.request_id is not None
    assert raised.request_id.startswith("req_")
    assert raised.error is None, "the Node SDK takes a body with `error` for an OAuth failure"


def test_the_sdk_shows_our_sentence_and_the_fields(base_url: str) -> None:
    raised = failure(base_url, "unprocessable")
    assert raised.message == "limit: too much"
    assert raised.errors == [{"field": "limit", "code": "invalid"}]


def test_the_sdk_is_told_how_long_to_wait(base_url: str) -> None:
    raised = failure(base_url, "too-many")
    assert isinstance(raised, workos.RateLimitExceededError)
    assert raised.retry_after == 7, "6.2 seconds, rounded up so that a punctual caller is not early"


def test_an_unknown_key_is_an_authentication_error(base_url: str) -> None:
    assert type(failure(base_url, "anything", key="nonsense")) is workos.AuthenticationError


def test_a_slug_with_a_slash_arrives_whole_from_the_sdk(base_url: str) -> None:
    reply = httpx2.get(f"{base_url}/data-integrations/provider%2Fslug", headers={"authorization": "Bearer sk_demo"})
    assert reply.json()["path"] == {"slug": "provider/slug"}
    # The demo's answer is not an integration, and the SDK says so: it got one, from the right address.
    with pytest.raises(sdk.WorkOSError) as caught:
        sdk_client(base_url).pipes.get_data_integration("provider/slug")
    assert not isinstance(caught.value, sdk.APIError)


def _kinds(base: type[HoldfastError]) -> set[type[HoldfastError]]:
    return {base}.union(*(_kinds(kind) for kind in base.__subclasses__()))


def test_every_error_of_the_common_tree_has_a_status_but_the_operators_own() -> None:
    tree = {kind for kind in _kinds(HoldfastError) if kind.__module__ == errors.__name__}
    assert tree - {kind for kind, _ in STATUSES} == {HoldfastError, errors.Misconfigured}


def test_a_special_class_is_never_hidden_behind_its_base() -> None:
    kinds = [kind for kind, _ in STATUSES]
    for index, kind in enumerate(kinds):
        assert not [later for later in kinds[index + 1 :] if issubclass(later, kind)]


def test_an_error_without_fields_has_no_empty_list_of_them() -> None:
    body = msgspec.json.decode(msgspec.json.encode(render(Invalid("no")).body))
    assert body == {"message": "no", "code": "invalid_request_parameters"}


def test_no_code_of_ours_means_a_login_step_to_the_sdk() -> None:
    """A 403 with one of these codes would raise the class of a login flow, with attributes that we do not send."""
    taken = set(sdk._AUTH_CODE_TO_ERROR)
    assert "sso_required" in taken
    sources = Path(holdfast.__file__).parent.rglob("*.py")
    codes = {code for path in sources for code in re.findall(r'code="([a-z0-9_]+)"', path.read_text())}
    codes |= {kind.default_code for kind in _kinds(HoldfastError)}
    assert "account_selection_required" in codes
    assert not codes & taken
