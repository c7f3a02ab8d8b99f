"""The door as a whole: its operations, its OpenAPI document, its ASGI application."""

from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from holdfast.api.dispatch import AtOnce, Dispatcher, ErrorTail
from holdfast.api.document import openapi
from holdfast.api.operations import Operation
from holdfast.api.workos.accounts import AccountOperations
from holdfast.api.workos.authorize import AuthorizeOperations
from holdfast.api.workos.configurations import ConfigurationOperations
from holdfast.api.workos.credentials import CredentialOperations
from holdfast.api.workos.events import EventOperations
from holdfast.api.workos.faults import render
from holdfast.api.workos.integrations import IntegrationOperations
from holdfast.api.workos.lane import TokenLane
from holdfast.api.workos.memberships import MembershipOperations
from holdfast.api.workos.outputs import Fault
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.providers import ProviderOperations
from holdfast.api.workos.redirect_uris import RedirectUriOperations
from holdfast.api.workos.webhooks import WebhookOperations
from holdfast.api.workos.widget_tokens import WidgetTokenOperations


class WorkosDoor:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.operations: tuple[Operation, ...] = tuple(
            operation
            for group in (
                IntegrationOperations,
                AuthorizeOperations,
                CredentialOperations,
                AccountOperations,
                ProviderOperations,
                ConfigurationOperations,
                EventOperations,
                WebhookOperations,
                MembershipOperations,
                RedirectUriOperations,
                WidgetTokenOperations,
            )
            for operation in group(parts).operations()
        )

    def app(self, fallback: ASGIApp) -> Dispatcher:
        """Return the application; what is not this door's goes to `fallback`."""
        return Dispatcher(
            self.operations,
            authenticate=self._parts.keys.authenticate,
            render_error=render,
            limiter=self._parts.limiter,
            max_body_bytes=self._parts.max_body_bytes,
            fallback=fallback,
        )

    def lane(self, operations: Dispatcher, rest: ASGIApp, beside: AtOnce) -> ASGIApp:
        """Return what is to be asked before all else: the token read's own lane. `rest` leads to `operations`."""
        return TokenLane(operations, self._parts, rest, beside)

    def not_found(self) -> ASGIApp:
        """Return the application for addresses that nobody serves."""
        return ErrorTail(render)

    async def openapi(self, _request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    @cached_property
    def _document(self) -> bytes:
        """Written when it is first asked for: no start waits for it."""
        return msgspec.json.encode(openapi("Holdfast: the WorkOS Pipes wire", self.operations, Fault))
