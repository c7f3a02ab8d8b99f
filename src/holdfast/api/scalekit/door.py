"""The door as a whole: its RPCs, its two transports, its OpenAPI document, its ASGI application."""

from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.api.scalekit.account_links import AccountLinks
from holdfast.api.scalekit.account_lists import AccountLists
from holdfast.api.scalekit.account_writes import AccountWrites
from holdfast.api.scalekit.accounts import AccountReads
from holdfast.api.scalekit.analytics import AnalyticsRpcs
from holdfast.api.scalekit.calls import Caller
from holdfast.api.scalekit.connections import ConnectionRpcs
from holdfast.api.scalekit.document import openapi
from holdfast.api.scalekit.events import EventRpcs
from holdfast.api.scalekit.grpc import CONTENT_TYPE, Grpc
from holdfast.api.scalekit.logs import LogRpcs
from holdfast.api.scalekit.organizations import OrganizationRpcs
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.portal import PortalRpcs
from holdfast.api.scalekit.providers import ProviderRpcs
from holdfast.api.scalekit.rest import Rest
from holdfast.api.scalekit.rpc import Group, Handler, Rpc, Swift, SwiftGroup, gather
from holdfast.api.scalekit.signin import KEYS_PATHS, TOKEN_PATHS, SignIn

GRPC_PREFIX, REST_PREFIX = "/scalekit.", "/api/v1/"


class ScalekitDoor:
    def __init__(self, parts: Parts) -> None:
        groups: tuple[Group, ...] = (
            AccountReads(parts),
            ConnectionRpcs(parts),
            ProviderRpcs(parts),
            EventRpcs(parts),
            LogRpcs(parts),
            AnalyticsRpcs(parts),
            AccountLists(parts),
            AccountWrites(parts),
            AccountLinks(parts),
            PortalRpcs(parts),
            OrganizationRpcs(parts),
        )
        handlers: dict[str, Handler] = {}
        swift: dict[str, Swift] = {}
        for group in groups:
            handlers.update(group.rpcs())
            if isinstance(group, SwiftGroup):
                swift.update(group.swift())
        self.rpcs: tuple[Rpc, ...] = gather(handlers, swift)
        caller = Caller(parts.tokens, parts.limiter)
        self._grpc = Grpc({rpc.method.path: rpc for rpc in self.rpcs}, caller, max_bytes=parts.max_body_bytes)
        self._rest = Rest(self.rpcs, caller, max_bytes=parts.max_body_bytes)
        self._sign_in = SignIn(parts.clients, parts.tokens)

    def app(self, fallback: ASGIApp) -> ASGIApp:
        """Return the application; what is not this door's goes to `fallback`."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await (self._for(scope) or fallback)(scope, receive, send)

        return serve

    async def openapi(self, _request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    @cached_property
    def _document(self) -> bytes:
        """Written when it is first asked for: no start waits for it."""
        return msgspec.json.encode(openapi("Holdfast: the Scalekit AgentKit wire", self.rpcs))

    def _for(self, scope: Scope) -> ASGIApp | None:
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if scope["http_version"] == "2" and (path.startswith(GRPC_PREFIX) or _is_grpc(scope)):
            return self._grpc
        if path.startswith((REST_PREFIX, GRPC_PREFIX)):  # gRPC without HTTP/2 has no trailers: nothing is there
            return self._rest
        if path in TOKEN_PATHS or path in KEYS_PATHS:
            return self._sign_in
        return None


def _is_grpc(scope: Scope) -> bool:
    """Tell whether a call is gRPC's, whatever service it names: an unknown one is answered in gRPC's own words."""
    return any(name == b"content-type" and value.startswith(CONTENT_TYPE) for name, value in scope["headers"])
