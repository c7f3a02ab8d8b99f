"""What the door answers with, read by the official SDK; and what it accepts, at its edges."""

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, UnsetType
from workos.common import models as common
from workos.organization_membership import models as memberships
from workos.pipes import models as pipes
from workos.pipes_provider import models as pipes_provider
from workos.user_management import models as user_management
from workos.webhooks import models as webhooks

from holdfast.api.decoding import BodyDecoder, QueryDecoder
from holdfast.api.workos import inputs, outputs
from holdfast.errors import Unprocessable

NOW = "2026-09-21T12:00:00.123Z"
READ_BY: dict[type[msgspec.Struct], Any] = {
    outputs.ConnectedAccount: common.ConnectedAccount,
    outputs.FinishedConnection: pipes.DataIntegrationFinishConnectionResponse,
    outputs.DataProviderList: common.DataIntegrationsListResponse,
    outputs.DataIntegration: pipes.DataIntegration,
    outputs.AuthorizeUrl: pipes.DataIntegrationAuthorizeUrlResponse,
    outputs.Configuration: pipes_provider.DataIntegrationConfigurationResponse,
    outputs.ConfigurationList: pipes_provider.DataIntegrationConfigurationListResponse,
    outputs.WebhookEndpoint: webhooks.WebhookEndpoint,
    outputs.OrganizationMembership: memberships.OrganizationMembership,
    outputs.RedirectUri: user_management.RedirectUri,
}


def sample(kind: Any, name: str, *, full: bool) -> Any:
    """A value of a type: with `full` everything there can be, else null wherever null is allowed."""
    kind = get_args(kind)[0] if get_origin(kind) is not None and hasattr(kind, "__metadata__") else kind
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and not full:
            return None
        return sample(next(a for a in arguments if a not in (type(None), UnsetType)), name, full=full)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return kind(
            **{
                field.name: sample(hints[field.name], field.name, full=full)
                for field in msgspec.structs.fields(kind)
                if full or field.default is not UNSET
            }
        )
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [sample(arguments[0], name, full=full)] if full else []
    if origin is dict:
        return {"key": "value"} if full else {}
    if kind is bool:
        return full
    assert kind is str, kind
    if name == "auth_methods":
        return "oauth"
    return NOW if name.endswith("_at") else f"a {name}"


def wire(value: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return found


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", READ_BY, ids=lambda kind: kind.__name__)
def test_the_sdk_reads_it_and_gives_the_same_back(kind: type[msgspec.Struct], full: bool) -> None:
    sent = wire(sample(kind, "", full=full))
    read = READ_BY[kind].from_dict(sent).to_dict()
    common_keys = set(sent) & set(read)
    assert "id" in common_keys or kind in (outputs.AuthorizeUrl, outputs.FinishedConnection) or "data" in common_keys
    for key in common_keys - {"user", "connected_account", "data", "warnings"}:
        assert read[key] == sent[key], key


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_without_a_required_key_the_sdk_would_not_read_it(field: str) -> None:
    """The check above means something: the SDK does complain."""
    sent = wire(sample(outputs.DataIntegration, "", full=True))
    del sent[field]
    with pytest.raises(Exception, match=field):
        pipes.DataIntegration.from_dict(sent)


@pytest.mark.parametrize("expires_at", [None, NOW])
def test_the_sdk_reads_a_token(expires_at: str | None) -> None:
    token = outputs.AccessToken(access_token="t", expires_at=expires_at, scopes=["a"], missing_scopes=["b"])
    read = pipes.DataIntegrationAccessTokenResponse.from_dict(wire(outputs.TokenReply(active=True, access_token=token)))
    assert read.active is True
    assert read.access_token is not None
    assert (read.access_token.access_token, read.access_token.missing_scopes) == ("t", ["b"])
    assert (read.access_token.expires_at is None) == (expires_at is None)


@pytest.mark.parametrize("why", ["not_installed", "needs_reauthorization"])
@pytest.mark.parametrize(
    ("reply", "model"),
    [
        (outputs.TokenReply, pipes.DataIntegrationAccessTokenResponse),
        (outputs.CredentialReply, pipes.DataIntegrationCredentialsResponse),
    ],
)
def test_the_sdk_reads_that_there_is_nothing_to_hand_out(reply: Any, model: Any, why: str) -> None:
    sent = wire(reply(active=False, error=why))
    assert sent == {"active": False, "error": why}
    read = model.from_dict(sent)
    assert (read.active, read.error.value) == (False, why)


@pytest.mark.parametrize(
    ("method", "extra", "kind"),
    [
        ("api_key", {}, "ApiKeyDataIntegrationVendedCredential"),
        ("oauth", {"expires_at": None}, "OAuthDataIntegrationVendedCredential"),
        ("oauth", {"expires_at": NOW}, "OAuthDataIntegrationVendedCredential"),
        ("client_credentials", {"expires_at": NOW}, "ClientCredentialsDataIntegrationVendedCredential"),
    ],
)
def test_the_sdk_reads_each_kind_of_credential(method: Any, extra: dict[str, Any], kind: str) -> None:
    if method != "api_key":
        extra = {**extra, "scopes": ["a"], "missing_scopes": [], "metadata": {"instance_url": "https://x.test"}}
    credential = outputs.VendedCredential(auth_method=method, value="v", config={"site": "eu"}, **extra)
    read = pipes.DataIntegrationCredentialsResponse.from_dict(
        wire(outputs.CredentialReply(active=True, credential=credential))
    )
    assert type(read.credential).__name__.lower() == kind.lower()
    assert read.credential is not None
    assert (read.credential.value, read.credential.config) == ("v", {"site": "eu"})


def test_a_secret_is_not_in_what_these_shapes_print() -> None:
    secret = "canary-81d2"
    shapes = [
        outputs.TokenReply(
            active=True,
            access_token=outputs.AccessToken(access_token=secret, expires_at=None, scopes=[], missing_scopes=[]),
        ),
        outputs.CredentialReply(
            active=True, credential=outputs.VendedCredential(auth_method="api_key", value=secret, config={})
        ),
        outputs.WebhookEndpoint(
            id="we_1", endpoint_url="u", secret=secret, status="enabled", events=[], created_at=NOW, updated_at=NOW
        ),
    ]
    assert not [shape for shape in shapes if secret in repr(shape) + str(shape)]


VERIFIER = "v" * 43
REFUSED: list[tuple[type[msgspec.Struct], dict[str, Any], str]] = [
    (inputs.Vend, {}, "user_id"),
    (inputs.Vend, {"user_id": ""}, "user_id"),
    (inputs.Vend, {"user_id": "u", "connection_owner": "team"}, "connection_owner"),
    (inputs.Vend, {"user_id": "u", "connected_account_id": "ca_1"}, "connected_account_id"),
    (inputs.Authorize, {"user_id": "u", "code_challenge_method": "plain"}, "code_challenge_method"),
    (inputs.Authorize, {"user_id": "u", "code_challenge": "short"}, "code_challenge"),
    (inputs.Authorize, {"user_id": "u", "connection_intent": "replace"}, "connection_intent"),
    (inputs.Finish, {"connect_code": "c", "code_verifier": "v" * 42}, "code_verifier"),
    (inputs.Finish, {"connect_code": "c", "code_verifier": "v" * 129}, "code_verifier"),
    (inputs.Finish, {"connect_code": "c", "code_verifier": VERIFIER[:-1] + "+"}, "code_verifier"),
    (inputs.Finish, {"connect_code": "", "code_verifier": VERIFIER}, "connect_code"),
    (inputs.CreateApiKey, {"user_id": "u", "secret": "s"}, "connection_intent"),
    (inputs.CreateApiKey, {"user_id": "u", "secret": "", "connection_intent": "add"}, "secret"),
    (inputs.CreateApiKey, {"user_id": "u", "secret": "s", "connection_intent": "reauthorize"}, "connection_intent"),
    (inputs.PutApiKey, {"user_id": "u", "secret": "s", "connected_account_id": "x"}, "connected_account_id"),
    (inputs.CreateDataIntegration, {"provider": "github", "auth_methods": []}, "auth_methods"),
    (inputs.CreateDataIntegration, {"provider": "github", "auth_methods": ["saml"]}, "auth_methods[0]"),
    (inputs.CreateDataIntegration, {"provider": "github", "credentials": {"type": "shared"}}, "credentials.type"),
    (inputs.ImportTokens, {"state": "disconnected"}, "state"),
    (inputs.CreateWebhookEndpoint, {"endpoint_url": "https://x.test", "events": []}, "events"),
]


@pytest.mark.parametrize(("kind", "body", "field"), REFUSED)
def test_a_body_at_the_wrong_side_of_an_edge_is_refused_by_name(
    kind: type[msgspec.Struct], body: dict[str, Any], field: str
) -> None:
    with pytest.raises(Unprocessable) as caught:
        BodyDecoder(kind).decode(msgspec.json.encode(body))
    assert [item["field"] for item in caught.value.fields] == [field]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (inputs.Vend, {"user_id": "u", "organization_id": None}),
        (inputs.Finish, {"connect_code": "c", "code_verifier": "v" * 128}),
        (inputs.Finish, {"connect_code": "c", "code_verifier": "A9-._~" * 8}),
        (
            inputs.CreateDataIntegration,
            {"provider": "mine", "custom_provider": {"name": "M", "refresh_token_url": None}},
        ),
        (inputs.Authorize, {"user_id": "u", "code_challenge": VERIFIER, "code_challenge_method": "S256"}),
    ],
)
def test_a_body_just_within_is_accepted(kind: type[msgspec.Struct], body: dict[str, Any]) -> None:
    found = BodyDecoder(kind).decode(msgspec.json.encode(body))
    assert {name: getattr(found, name) for name in body if name != "custom_provider"} == {
        name: value for name, value in body.items() if name != "custom_provider"
    }


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (inputs.UpdateDataIntegration, "description"),
        (inputs.UpdateDataIntegration, "scopes"),
        (inputs.Configure, "scopes"),
        (inputs.ImportTokens, "account_display_name"),
        (inputs.ImportTokens, "account_identifier"),
    ],
)
def test_clearing_a_member_is_not_leaving_it_out(kind: type[msgspec.Struct], field: str) -> None:
    decoder = BodyDecoder(kind)
    assert getattr(decoder.decode(b"{}"), field) is UNSET
    assert getattr(decoder.decode(b'{"%s": null}' % field.encode()), field) is None


@pytest.mark.parametrize("query", [b"limit=0", b"limit=101", b"order=newest", b"ownership=team"])
def test_a_list_is_asked_for_within_its_limits(query: bytes) -> None:
    with pytest.raises(Unprocessable) as caught:
        QueryDecoder(inputs.IntegrationsQuery).decode(query)
    assert [item["field"] for item in caught.value.fields] == [query.decode().partition("=")[0]]
