"""Authorization server metadata (RFC 8414) and OpenID Connect Discovery 1.0: endpoints that a server tells
itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from holdfast.errors import Invalid
from holdfast.http import Reply
from holdfast.oauth2.dialect import ClientAuth, Dialect
from holdfast.oauth2.documents import read_document

_PREFERRED: tuple[ClientAuth, ...] = (
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "client_secret_jwt",
    "none",
)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")


class MetadataRejected(Invalid):
    """The document cannot be trusted or understood."""

    default_code = "metadata_rejected"


@dataclass(frozen=True)
class Metadata:
    """A validated document.

    Endpoints that a server does not have are None; lists that it does not give are empty.
    """

    issuer: str
    authorization_endpoint: str | None
    token_endpoint: str | None
    registration_endpoint: str | None
    introspection_endpoint: str | None
    revocation_endpoint: str | None
    userinfo_endpoint: str | None
    jwks_uri: str | None
    scopes: tuple[str, ...]
    auth_methods: tuple[str, ...]
    auth_algorithms: tuple[str, ...]
    revocation_auth_methods: tuple[str, ...]
    challenge_methods: tuple[str, ...]
    iss_in_callback: bool
    client_id_document: bool
    """The server takes a URL of ours for a client id and reads our metadata there."""


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where the metadata of `issuer` may be, in the order to try.

    RFC 8414 section 3.1 puts the well-known part before the issuer's path, OpenID Connect Discovery after it.
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    urls = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )
    return tuple(dict.fromkeys(urls))


def read_metadata(reply: Reply, *, issuer: str, allow_http: bool = False) -> Metadata:
    """Return the metadata in `reply`. Raises MetadataRejected.

    The document must name `issuer` itself, character by character, or any server could speak for any other
    (RFC 8414 section 3.3); its endpoints must be https, unless `allow_http` says that this is a development
    setting.
    """
    if reply.status != 200:
        raise MetadataRejected(f"The server answered {reply.status} in place of its metadata.")
    document = read_document(reply, "json")
    if not isinstance(document, Mapping):
        raise MetadataRejected("The server's metadata is not a JSON object.")
    if document.get("issuer") != issuer:
        raise MetadataRejected("The metadata names another issuer than the one asked for.")

    def endpoint(name: str) -> str | None:
        return _endpoint(name, document.get(name), allow_http)

    return Metadata(
        issuer=issuer,
        authorization_endpoint=endpoint("authorization_endpoint"),
        token_endpoint=endpoint("token_endpoint"),
        registration_endpoint=endpoint("registration_endpoint"),
        introspection_endpoint=endpoint("introspection_endpoint"),
        revocation_endpoint=endpoint("revocation_endpoint"),
        userinfo_endpoint=endpoint("userinfo_endpoint"),
        jwks_uri=endpoint("jwks_uri"),
        scopes=_names(document.get("scopes_supported")),
        auth_methods=_names(document.get("token_endpoint_auth_methods_supported")),
        auth_algorithms=_names(document.get("token_endpoint_auth_signing_alg_values_supported")),
        revocation_auth_methods=_names(document.get("revocation_endpoint_auth_methods_supported")),
        challenge_methods=_names(document.get("code_challenge_methods_supported")),
        iss_in_callback=document.get("authorization_response_iss_parameter_supported") is True,
        client_id_document=document.get("client_id_metadata_document_supported") is True,
    )


def apply_metadata(dialect: Dialect, metadata: Metadata) -> Dialect:
    """Return `dialect` with its gaps filled.

    What it names itself stays: a reviewed entry outranks a live document.
    """
    method, others = _auth_methods(dialect, metadata)
    return msgspec.structs.replace(
        dialect,
        issuer=dialect.issuer or metadata.issuer,
        iss="required" if metadata.iss_in_callback else dialect.iss,
        authorize_url=dialect.authorize_url or metadata.authorization_endpoint,
        token_url=dialect.token_url or metadata.token_endpoint,
        introspect_url=dialect.introspect_url or metadata.introspection_endpoint,
        registration_url=dialect.registration_url or metadata.registration_endpoint,
        client_auth=method,
        client_auth_also=others,
        assertion_algorithm=_algorithm(dialect, metadata),
        pkce="supported" if dialect.pkce == "unknown" and "S256" in metadata.challenge_methods else dialect.pkce,
    )


def _auth_methods(dialect: Dialect, metadata: Metadata) -> tuple[ClientAuth, tuple[ClientAuth, ...]]:
    # A server that lists none takes Basic: https://www.rfc-editor.org/rfc/rfc8414#section-2
    listed = metadata.auth_methods or ("client_secret_basic",)
    known = tuple(method for method in _PREFERRED if method in listed)
    if dialect.client_auth in known or not known:
        return dialect.client_auth, tuple(method for method in known if method != dialect.client_auth)
    return known[0], known[1:]


def _algorithm(dialect: Dialect, metadata: Metadata) -> str:
    asymmetric = [name for name in ("RS256", "PS256", "ES256") if name in metadata.auth_algorithms]
    if dialect.assertion_algorithm in metadata.auth_algorithms or not asymmetric:
        return dialect.assertion_algorithm
    return asymmetric[0]


def _endpoint(name: str, value: object, allow_http: bool) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or _UNSAFE.search(value):
        raise MetadataRejected(f"The metadata's {name} is not a URL.")
    parts = urlsplit(value)
    if parts.scheme not in (("https", "http") if allow_http else ("https",)):
        raise MetadataRejected(f"The metadata's {name} is not an https URL.")
    if not parts.hostname or parts.username is not None or parts.fragment:
        raise MetadataRejected(f"The metadata's {name} has no host, a user name or a fragment.")
    return value


def _names(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()
