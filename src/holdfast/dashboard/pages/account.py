"""One account: what it is, what it needs, what has happened to it, and every act on it."""

from typing import Any

import msgspec
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from holdfast.access import check_verify_url
from holdfast.access.administrators import Right
from holdfast.accounts import Account, Given, Keeping, missing_scopes, recovery_of
from holdfast.accounts import store as account_store
from holdfast.accounts.revocations import is_told
from holdfast.authorization import LinkFor, Links
from holdfast.connections import Effective
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.story import Story
from holdfast.errors import HoldfastError, Invalid, Unprocessable
from holdfast.events.browse import Look
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens import Refresher
from holdfast.tokens.outcome import Gone, Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, RetryAt

TIMELINE = 20
LINK_LIFETIME = 24 * 3600.0
"""A link made here goes to its owner by mail or chat, and is opened within the day."""


class AccountPages:
    def __init__(
        self, frame: Frame, database: Database, keeping: Keeping, links: Links, refresher: Refresher, story: Story
    ) -> None:
        self._frame, self._database, self._keeping = frame, database, keeping
        self._links, self._refresher, self._story = links, refresher, story

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("accounts/{id}", self.one),
            frame.get("accounts/{id}/state", self.state),
            frame.post("accounts/{id}/labels", self.label, Right.CONNECT),
            frame.post("accounts/{id}/link", self.link, Right.CONNECT),
            frame.post("accounts/{id}/refresh", self.refresh, Right.CONNECT),
            frame.post("accounts/{id}/suspend", self.suspend, Right.CONNECT),
            frame.post("accounts/{id}/resume", self.resume, Right.CONNECT),
            frame.get("accounts/{id}/disconnect", self.ask_disconnect, Right.CONNECT),
            frame.post("accounts/{id}/disconnect", self.disconnect, Right.CONNECT),
            frame.get("accounts/{id}/delete", self.ask_delete, Right.CONNECT),
            frame.post("accounts/{id}/delete", self.delete, Right.CONNECT),
        ]

    async def one(self, visit: Visit) -> Response:
        return self._frame.page(visit, "account.html", **await self._facts(visit))

    async def state(self, visit: Visit) -> Response:
        """The part of a link's page that is fetched again until the account is connected."""
        account, effective = await self._keeping.get(visit.environment_id, visit.path["id"])
        return self._frame.part(visit, "account_state.html", **_waiting(account, effective, visit.query("since")))

    async def label(self, visit: Visit) -> Response:
        account, _ = await self._keeping.get(visit.environment_id, visit.path["id"])
        try:
            given = Given(
                metadata=_laid_over(account.metadata, _pairs(visit.text("metadata"))),
                api_config=_laid_over(account.api_config, _object(visit.text("api_config"))),
            )
            await self._keeping.update(visit.environment_id, account.id, given, visit.signed_in.administrator.actor())
        except HoldfastError as error:
            return self._frame.mistakes(visit, "account.html", _beside(error), **await self._facts(visit))
        return self._frame.done(visit, f"accounts/{account.id}", "saved")

    async def link(self, visit: Visit) -> Response:
        """Make a link and show it on this one answer: the address of the page does not carry it. Where the app confirms
        its users, ask first where a browser goes for that."""
        account, effective = await self._keeping.get(visit.environment_id, visit.path["id"])
        facts: dict[str, Any] = {"account": account, "provider": effective.provider}
        if visit.environment.user_verification == "custom" and "user_verify_url" not in visit.form:
            return self._frame.page(visit, "account_link_ask.html", **facts)
        try:
            return await show_link(self._frame, self._links, visit, account, effective)
        except HoldfastError as error:
            if "field" not in {name for item in error.fields for name in item}:
                raise
            return self._frame.mistakes(visit, "account_link_ask.html", error, **facts)

    async def refresh(self, visit: Visit) -> Response:
        account, effective = await self._keeping.get(visit.environment_id, visit.path["id"])
        if account.grant is None:
            raise Unprocessable("there is nothing to refresh this account with")
        actor = visit.signed_in.administrator.actor()
        outcome = await self._refresher.refresh(account, force=True, actor=actor)
        if isinstance(outcome, Refreshed):
            return self._frame.done(visit, f"accounts/{account.id}", "refreshed")
        facts = await self._facts(visit)
        told = _told(outcome, effective.provider.name) or (facts["recovery"].sentence if facts["recovery"] else "")
        error = Unprocessable(told or "it was not refreshed")
        return self._frame.mistakes(visit, "account.html", error, **facts)

    async def suspend(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await self._keeping.suspend(visit.environment_id, visit.path["id"], actor, why=visit.text("why"))
        return self._frame.done(visit, f"accounts/{visit.path['id']}", "suspended")

    async def resume(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await self._keeping.resume(visit.environment_id, visit.path["id"], actor)
        return self._frame.done(visit, f"accounts/{visit.path['id']}", "resumed")

    async def ask_disconnect(self, visit: Visit) -> Response:
        return await self._ask(visit, "disconnect")

    async def ask_delete(self, visit: Visit) -> Response:
        return await self._ask(visit, "delete")

    async def _ask(self, visit: Visit, act: str) -> Response:
        account, effective = await self._keeping.get(visit.environment_id, visit.path["id"])
        facts: dict[str, Any] = {"account": account, "provider": effective.provider, "act": act}
        return self._frame.page(visit, "account_ask.html", **facts, told=is_told(account, effective, wire=True))

    async def disconnect(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await self._keeping.revoke(visit.environment_id, visit.path["id"], actor)
        return self._frame.done(visit, f"accounts/{visit.path['id']}", "disconnected")

    async def delete(self, visit: Visit) -> Response:
        await self._keeping.delete(visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor())
        return RedirectResponse(visit.url("accounts") + "?did=deleted", 303)

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        account, effective = await self._keeping.get(visit.environment_id, visit.path["id"])

        def work(tx: Tx) -> float | None:
            return account_store.last_uses(tx, visit.environment_id, [account.id]).get(account.id)

        used = await self._database.transact(work)
        lines, further = await self._story.read(visit.environment_id, Look(account_id=account.id), limit=TIMELINE)
        missing = missing_scopes(effective, account)
        return {
            "account": account,
            "effective": effective,
            "provider": effective.provider,
            "missing": missing,
            "missing_required": [one for one in missing if one in effective.connection.required_scopes],
            "recovery": recovery_of(account),
            "used": used,
            "lines": lines,
            "more_lines": further is not None,
            "now": self._frame.clock.now(),
            "metadata": "\n".join(f"{name}={value}" for name, value in account.metadata.items()),
            "api_config": _written(account.api_config),
        }


async def show_link(frame: Frame, links: Links, visit: Visit, account: Account, effective: Effective) -> Response:
    """Make a link for an account and show it, with the account's status, until it is connected.

    Raises as `Links.make` does, naming the field `user_verify_url` where that is what is wrong or missing.
    """
    ask = LinkFor(
        environment_id=visit.environment_id,
        actor=visit.signed_in.administrator.actor(),
        account_id=account.id,
        user_verify_url=verify_url_of(frame, visit),
        lifetime=LINK_LIFETIME,
    )
    made = await links.make(ask)
    return frame.page(
        visit, "account_link.html", link=made, **_waiting(made.account, effective, str(account.credential_version))
    )


def verify_url_of(frame: Frame, visit: Visit) -> str | None:
    """Return the address that the form names for users to be confirmed at; None where this environment confirms none.

    Raises Unprocessable naming the field when it is missing (the link would end on an error page) or no fine address.
    """
    if visit.environment.user_verification != "custom":
        return None
    text = visit.text("user_verify_url")
    if not text:
        raise _wrong_verify_url("the page of your app that says whose browser came back: this environment asks for it")
    try:
        return check_verify_url(text, dev=frame.dev)
    except Invalid as error:
        raise _wrong_verify_url(error.message.replace("user_verify_url", "it", 1)) from None


def _wrong_verify_url(message: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": "user_verify_url", "message": message}])


def _waiting(account: Account, effective: Effective, since: str) -> dict[str, Any]:
    """Return what the live part shows: it is over once there is a newer credential than `since`."""
    version = int(since) if since.isdecimal() and len(since) < 12 else 0
    renewed = account.status == "active" and account.credential_version > version
    return {
        "account": account,
        "provider": effective.provider,
        "since": version,
        "arrived": renewed or account.status == "verifying",
        "renewed": renewed,
    }


def _told(outcome: RefreshOutcome, provider: str) -> str:
    match outcome:
        case RetryAt(why=why):
            return f"{provider} could not be asked just now: {why}"
        case NeedsReauthorization(detail=detail):
            return detail
        case Misconfigured(why=why):
            return f"{provider} refuses the connection's client: {why}"
        case Gone():
            return "the account was deleted meanwhile"
        case Refreshed():
            return ""


def _pairs(text: str) -> dict[str, str]:
    """Read lines of `name=value`. Raises Invalid for a line that is none."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            name, sign, value = line.partition("=")
            if not sign or not name.strip():
                raise _wrong("metadata", f"line {number} is not name=value")
            found[name.strip()] = value.strip()
    return found


def _object(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _wrong("api_config", f"this is not a JSON object: {error}") from None


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, fields=[{"field": field, "message": message}])


def _laid_over(before: Any, after: dict[str, Any]) -> dict[str, Any]:
    """Return what makes `before` into `after`: members that are gone are null."""
    return {**dict.fromkeys(before), **after}


def _written(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() if value else ""


def _beside(error: HoldfastError) -> HoldfastError:
    """Put an error of the room, which names no field, beside the one that it is about."""
    if not error.fields:
        field = "api_config" if "api_config" in error.message else "metadata" if "metadata" in error.message else ""
        error.fields = ({"field": field, "message": error.message},) if field else ()
    return error
