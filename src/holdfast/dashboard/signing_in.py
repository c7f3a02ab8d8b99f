"""Signing in and out, and the one-time link that makes an administrator."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access.administrators import Administrators, SigningIn
from holdfast.access.administrators.signing_in import LONGEST_SESSION
from holdfast.dashboard.frame import Frame, errors_of, next_page, status_of
from holdfast.errors import HoldfastError


class SignInPages:
    def __init__(self, frame: Frame, people: Administrators, signing_in: SigningIn, home: Callable[[], Any]) -> None:
        """`home` returns where to go when nothing else was asked for."""
        self._frame, self._people, self._signing_in, self._home = frame, people, signing_in, home

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/dashboard", self.front, methods=["GET"]),
            Route("/dashboard/sign-in", self.sign_in, methods=["GET"]),
            Route("/dashboard/sign-in", self.enter, methods=["POST"]),
            Route("/dashboard/sign-out", self.sign_out, methods=["POST"]),
            Route("/dashboard/welcome/{token}", self.welcome, methods=["GET"]),
            Route("/dashboard/welcome/{token}", self.accept, methods=["POST"]),
        ]

    async def front(self, request: Request) -> Response:
        if await self._frame.who(request) is None:
            return self._frame.to_sign_in(request)
        return RedirectResponse(await self._home(), 303)

    async def sign_in(self, request: Request) -> Response:
        if await self._frame.who(request) is not None:
            return RedirectResponse(await self._home(), 303)
        return self._frame.plain_page("sign_in.html", next=next_page(request.query_params.get("next", "")), flash="")

    async def enter(self, request: Request) -> Response:
        email = back = ""
        try:
            form = await self._frame.form_of(request, None)
            email, password, back = (str(form.get(name) or "") for name in ("email", "password", "next"))
            address = request.client.host if request.client else ""
            token = await self._signing_in.with_password(email, password, address)
        except HoldfastError as error:
            return self._frame.plain_page(
                "sign_in.html",
                status=status_of(error),
                errors=errors_of(error),
                typed={"email": email},
                next=next_page(back),
                flash="",
            )
        response = RedirectResponse(next_page(back) or await self._home(), 303)
        self._frame.set_session(response, token.reveal(), int(LONGEST_SESSION))
        return response

    async def sign_out(self, request: Request) -> Response:
        signed_in = await self._frame.who(request)
        if signed_in is not None:
            try:
                await self._frame.form_of(request, signed_in)
            except HoldfastError as error:
                return self._frame.problem(request, signed_in, None, error)
            await self._signing_in.out(signed_in.session)
        response = RedirectResponse("/dashboard/sign-in", 303)
        self._frame.set_session(response, "", 0)
        return response

    async def welcome(self, request: Request) -> Response:
        """Show the form; looking at the link does not use it up."""
        try:
            invitation = await self._people.invitation(request.path_params["token"])
        except HoldfastError as error:
            return self._frame.problem(request, None, None, error)
        return self._frame.plain_page("welcome.html", invitation=invitation)

    async def accept(self, request: Request) -> Response:
        token, typed = request.path_params["token"], dict[str, str]()
        try:
            invitation = await self._people.invitation(token)
        except HoldfastError as error:
            return self._frame.problem(request, None, None, error)
        try:
            form = await self._frame.form_of(request, None)
            typed = {name: str(form.get(name) or "") for name in ("email", "name")}
            person = await self._people.accept(token, password=str(form.get("password") or ""), **typed)
        except HoldfastError as error:
            return self._frame.plain_page(
                "welcome.html", status=status_of(error), errors=errors_of(error), typed=typed, invitation=invitation
            )
        session = await self._signing_in.admit(person, "link")
        response = RedirectResponse(await self._home(), 303)
        self._frame.set_session(response, session.reveal(), int(LONGEST_SESSION))
        return response
