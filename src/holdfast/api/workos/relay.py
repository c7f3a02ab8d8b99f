"""Relay: a call to a provider's API without its token ever leaving this server.

`/relay` with the whole address in X-Relay-URL, or `/relay/{slug}/{path}`. The headers X-Relay-User, -Organization,
-Provider and -URL say whose account and where; what the provider answers is passed through, told from our own answers
by X-Relay-Upstream-Status.
"""

from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from holdfast.accounts import Owner, Reason
from holdfast.api.dispatch import Rendered
from holdfast.api.proxying import UPSTREAM_STATUS, Incoming, wait_of
from holdfast.api.workos.faults import render
from holdfast.api.workos.parts import Parts
from holdfast.authorization import Beginning
from holdfast.errors import HoldfastError, Invalid, NotFound
from holdfast.outbound import NotSent, ReplyLost
from holdfast.proxy import Asked, AuthorizationRequired

_PREFIX = "/relay/"
MOST_ID = 256


class AuthorizationNeeded(msgspec.Struct, frozen=True):
    """402: the owner has to connect first. `authorization_url` is where, if a link could be made and would help."""

    connection: str
    message: str
    authorization_url: str | None
    code: str = "relay_authorization_required"


@dataclass(frozen=True)
class RelayShape:
    parts: Parts
    upstream_status: tuple[bytes, ...] = (b"x-relay-upstream-status", UPSTREAM_STATUS)
    template: str = "/relay/{slug}/{path}"

    def takes(self, raw_path: str) -> bool:
        return raw_path.startswith(_PREFIX) or raw_path == "/relay"

    def read(self, call: Incoming) -> Asked:
        """Return what is asked. Raises Invalid in the wire's words: relay_user_required, relay_missing_url,
        relay_invalid_url, relay_provider_conflict."""
        user = call.header(b"x-relay-user")
        if not user:
            raise Invalid("X-Relay-User says whose account: it is required", code="relay_user_required")
        slug, path = "", "/"
        if call.path.startswith(_PREFIX):
            segment, slash, rest = call.path.removeprefix(_PREFIX).partition("/")
            slug, path = unquote(segment), slash + rest or "/"
        named, url = call.header(b"x-relay-provider"), call.header(b"x-relay-url")
        if slug and named and named != slug:
            raise Invalid("X-Relay-Provider names another provider than the path", code="relay_provider_conflict")
        if slug and url:
            raise Invalid("send the address in the path or in X-Relay-URL, not in both", code="relay_invalid_url")
        if not slug and not url:
            raise Invalid("X-Relay-URL is required with /relay", code="relay_missing_url")
        if url and call.query:
            raise Invalid("the query belongs into X-Relay-URL", code="relay_invalid_url")
        organization = call.header(b"x-relay-organization")
        for text in (user, organization, slug or named):
            if len(text) > MOST_ID or "\0" in text:
                raise Invalid(f"an id may hold {MOST_ID} characters at most", code="relay_user_not_found")
        return Asked(
            principal=call.principal,
            confirm=call.confirm,
            connection=slug or named or None,
            owner=Owner.user(user, organization or None),
            method=call.method,
            path=path,
            url=url or None,
            query=call.query,
            headers=call.pairs,
            wait=wait_of(call),
            request_id=call.request_id,
        )

    async def render(self, error: Exception, asked: Asked | None) -> Rendered:
        if isinstance(error, AuthorizationRequired) and asked is not None:
            link = await self._link(error, asked)
            return Rendered(402, AuthorizationNeeded(error.connection, error.message, link), {})
        if isinstance(error, NotFound) and error.code in ("entity_not_found", "provider_not_found"):
            return render(NotFound(error.message, code="relay_provider_not_found"))
        if isinstance(error, Invalid) and error.code in (
            "invalid_url",
            "invalid_path",
            "invalid_query",
            "host_not_allowed",
        ):
            return render(Invalid(error.message, code="relay_invalid_url"))
        rendered = render(error)
        if isinstance(error, NotSent | ReplyLost):
            return Rendered(502, rendered.body, {})
        return rendered

    async def _link(self, error: AuthorizationRequired, asked: Asked) -> str | None:
        if error.reason is Reason.PAUSED:  # an administrator's to resume: the owner would consent in vain
            return None
        try:
            begun = await self.parts.begin.begin(
                Beginning(
                    environment_id=asked.principal.environment_id,
                    name=error.connection,
                    owner=error.owner,
                    acting_user=asked.owner.user_id,
                    actor=asked.principal.actor(),
                    request_id=asked.request_id,
                )
            )
        except HoldfastError:  # a connection by key, one that is not set up, one account too many: no link helps
            return None
        return begun.url
