"""Signing in at an OpenID Connect issuer: to it, and back from it. Every failure is told on the sign-in page."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access.administrators import SingleSignOn
from holdfast.access.administrators.openid import CALLBACK_PATH, LIFETIME
from holdfast.access.administrators.signing_in import LONGEST_SESSION
from holdfast.dashboard.frame import Frame, next_page, status_of
from holdfast.errors import HoldfastError

_log = structlog.get_logger("holdfast.dashboard")


class SingleSignOnPages:
    def __init__(self, frame: Frame, single_sign_on: SingleSignOn, home: Callable[[], Awaitable[str]]) -> None:
        self._frame, self._sso, self._home = frame, single_sign_on, home
        self._cookie = "__Host-holdfast-sign-in" if frame.secure else "holdfast-sign-in"

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/dashboard/sign-in/begin", self.begin, methods=["GET"]),
            Route(CALLBACK_PATH, self.callback, methods=["GET"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Send the browser to the issuer. Only from our own page: another site cannot make somebody sign in."""
        if not self._frame.is_ours(request):
            return RedirectResponse("/dashboard/sign-in", 303)
        try:
            begun = await self._sso.begin(next_page(request.query_params.get("next", "")), _address(request))
        except HoldfastError as error:
            return self._failed(error)
        response = RedirectResponse(begun.url, 303, headers={"cache-control": "no-store"})
        self._keep(response, begun.binding.reveal(), LIFETIME)
        return response

    async def callback(self, request: Request) -> Response:
        """The issuer's answer. It comes from another site, so nothing in the request but the binding is believed."""
        binding = request.cookies.get(self._cookie, "")
        try:
            session, back = await self._sso.finish(request.query_params.multi_items(), binding, _address(request))
        except HoldfastError as error:
            return self._failed(error)
        response = RedirectResponse(back or await self._home(), 303, headers={"cache-control": "no-store"})
        self._keep(response, "", 0)
        self._frame.set_session(response, session.reveal(), int(LONGEST_SESSION))
        return response

    def _failed(self, error: HoldfastError) -> Response:
        _log.warning("single_sign_on_refused", error=error.code)
        message = f"{error.message[:1].upper()}{error.message[1:]}."
        return self._frame.plain_page("sign_in.html", status=status_of(error), errors={"": message}, next="", flash="")

    def _keep(self, response: Response, binding: str, seconds: int) -> None:
        # Lax: the way back from the issuer is a navigation from another site, which Strict would send without it.
        response.set_cookie(
            self._cookie, binding, max_age=seconds, path="/", secure=self._frame.secure, httponly=True, samesite="lax"
        )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
