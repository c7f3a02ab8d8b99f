"""Ending tokens at their provider: what is queued is claimed, sent, and written down.

    claimed > not lived by by anybody else > sent, by the gate that refreshes pass > gone with an entry, or put off

A request passes the same guard, the same caps and the same breaker as every other to that provider. It may be sent
twice, by a process that was killed and by the next: to end what is over changes nothing. After a day it is given up.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast import metrics, telemetry
from holdfast.accounts import Account
from holdfast.accounts.revocations import (
    GIVE_UP_AFTER,
    Ended,
    Later,
    Order,
    Refused,
    Revocation,
    Verdict,
    judge,
    pause,
    revocation_entry,
    store,
)
from holdfast.accounts.revocations.revocation import Kind
from holdfast.clock import Clock
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.errors import HoldfastError
from holdfast.events import Action
from holdfast.events import store as log
from holdfast.http import Request
from holdfast.outbound import NotSent, Outbound, ReplyLost
from holdfast.providers import calls
from holdfast.providers.templates import Settled
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens.gate import Gate, Lane
from holdfast.tokens.outcome import Resting
from holdfast.tokens.taken import Taken
from holdfast.vault import Vault

_log = structlog.get_logger("holdfast.revocations")

AT_ONCE = 16
"""Revocations under way in a process: a provider that hangs leaves room for others, and nobody waits for them."""
REQUESTS = 4
"""At most, for one revocation: two tokens by two client secrets."""
CLAIM_MARGIN = 5.0
"""A claim lasts its requests' time-outs and this. What a killed process had claimed is taken again after it."""
LEAST_REST = 1.0


class Revoker:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, outbound: Outbound, gate: Gate, *, timeout: float
    ) -> None:
        self._claim_seconds = REQUESTS * timeout + CLAIM_MARGIN
        self._database, self._vault, self._clock, self._outbound, self._gate = database, vault, clock, outbound, gate
        self._taken = Taken(self._claim, self._one, at_once=AT_ONCE)

    async def run(self) -> None:
        """Claim and send until nothing is due."""
        await self._taken.run()

    async def stop(self, seconds: float) -> None:
        """Claim nothing any more, and wait for what is under way; what is cut off is sent again."""
        await self._taken.stop(seconds)

    async def _claim(self, room: int) -> list[Revocation]:
        now = self._clock.now()
        return await self._database.transact(
            lambda tx: store.claim(tx, now=now, until=now + self._claim_seconds, limit=room)
        )

    async def _one(self, revocation: Revocation) -> None:
        try:
            with telemetry.span("revocation", provider=revocation.provider) as note:
                note.set(outcome=await self._end(revocation))
        except (SQLAlchemyError, HoldfastError, OSError) as error:  # its claim lapses by itself
            _log.warning("revocation_left", revocation=revocation.id, error=type(error).__name__)

    async def _end(self, revocation: Revocation) -> str:
        try:
            opened = await self._vault.open_fresh(revocation.order, revocation.order_place())
            order = msgspec.json.decode(opened.reveal(), type=Order)
            sharers, client = await self._database.transact(lambda tx: _meanwhile(tx, revocation))
            shared = await self._shared(revocation, order, sharers)
            if shared is not None:
                return await self._write(revocation, Action.ACCOUNT_REVOCATION_SKIPPED, why=shared)
            secrets = await self._secrets(order, client)
            # Worked out here, so that what cannot be sent is no failure of the provider's.
            host = urlsplit(_request(revocation, order, order.tokens[0], secrets[0]).url).netloc
        except (HoldfastError, msgspec.DecodeError, ValueError) as error:
            _log.warning("revocation_not_possible", revocation=revocation.id, error=type(error).__name__)
            return await self._write(revocation, Action.ACCOUNT_REVOCATION_FAILED, why="not_possible")
        # Refreshes are not to rest because revocations fail, but these do where that host is left alone.
        verdict: Verdict | Resting | None = self._gate.view().resting(Lane(order.lane, host, ""))
        if verdict is None:
            verdict = await self._gate.past(
                Lane(order.lane, f"{host}/revocation", ""),
                lambda: self._all(revocation, order, secrets),
                troubled=_speaks_against_it,
            )
        return await self._settle(revocation, verdict)

    async def _shared(self, revocation: Revocation, order: Order, sharers: Sequence[Account]) -> str | None:
        """Tell why ending this would take somebody else's access, if it would. Who cannot be told apart is not risked
        for tokens that nobody has asked to end."""
        if order.revoke.kills != "token":
            if revocation.subject is None and revocation.cause == "consent_refused":
                return "unknown_identity"
            return "shared" if sharers else None
        ours = {text for _, text in order.tokens}
        for account in sharers:  # Slack gives one token to all that install the same bot
            places = ((account.access, account.access_place()), (account.grant, account.grant_place()))
            for sealed, place in places:
                if sealed is not None and (await self._vault.open_fresh(sealed, place)).reveal() in ours:
                    return "shared"
        return None

    async def _secrets(self, order: Order, client: Client | None) -> list[Secret | None]:
        """Return the client secrets to try, in order: today's, then the one of the day it was queued."""
        found = [Secret(order.client_secret)] if order.client_secret is not None else []
        if client is not None and client.secret is not None:
            place = client.secret_place(client.secret_version)
            found.insert(0, await self._vault.open_fresh(client.secret, place))
        return list(dict.fromkeys(found)) or [None]

    async def _all(self, revocation: Revocation, order: Order, secrets: Sequence[Secret | None]) -> Verdict:
        """End one token after the other, whatever comes of the first; return what came of the worst."""
        verdicts: list[Verdict] = []
        for token in order.tokens:
            for secret in secrets:
                verdict = await self._send(revocation, order, token, secret)
                if not (isinstance(verdict, Later) and verdict.why == "client_refused"):
                    break
            verdicts.append(verdict)
        return next((one for one in verdicts if not isinstance(one, Ended)), verdicts[0])

    async def _send(
        self, revocation: Revocation, order: Order, token: tuple[Kind, str], secret: Secret | None
    ) -> Verdict:
        try:
            reply = await self._outbound.send(_request(revocation, order, token, secret))
        except (NotSent, ReplyLost) as error:
            _log.info("revocation_unanswered", revocation=revocation.id, error=type(error).__name__)
            return Later("unreachable")
        return judge(order, token[0], reply, self._clock.now())

    async def _settle(self, revocation: Revocation, verdict: Verdict | Resting) -> str:
        now = self._clock.now()
        match verdict:
            case Ended(status):
                return await self._write(revocation, Action.ACCOUNT_REVOCATION_DONE, status=status)
            case Refused(why, status):
                return await self._write(revocation, Action.ACCOUNT_REVOCATION_FAILED, why=why, status=status)
            case Resting(until):  # nothing was sent
                again, attempts, why, status = max(until, now + LEAST_REST), revocation.attempts - 1, "busy", None
            case Later(why, status, wait):
                again, attempts = now + pause(revocation.attempts, wait), revocation.attempts
        if again > revocation.created_at + GIVE_UP_AFTER:
            return await self._write(revocation, Action.ACCOUNT_REVOCATION_FAILED, why=why, status=status)
        await self._database.transact(lambda tx: store.put_off(tx, revocation, again, attempts))
        metrics.REVOCATIONS.add("put_off")
        return "put_off"

    async def _write(
        self, revocation: Revocation, action: Action, *, why: str | None = None, status: int | None = None
    ) -> str:
        """Erase it and tell what came of it, together."""

        def work(tx: Tx) -> None:
            if store.remove(tx, revocation):
                log.append(tx, revocation_entry(revocation, action, self._clock.now(), why=why, status=status))

        await self._database.transact(work)
        word = action.value.removeprefix("account.revocation_")
        metrics.REVOCATIONS.add(word)
        return word


def _speaks_against_it(verdict: Verdict) -> bool:
    """Tell whether the endpoint is in trouble: one that refuses a client answers."""
    return isinstance(verdict, Later) and verdict.why != "client_refused"


def _meanwhile(tx: Tx, revocation: Revocation) -> tuple[list[Account], Client | None]:
    ref = revocation.client_ref
    client = connection_store.client(tx, revocation.environment_id, ref) if ref else None
    return store.sharing(tx, revocation), client


def _request(revocation: Revocation, order: Order, token: tuple[Kind, str], secret: Secret | None) -> Request:
    kind, text = token
    settled = order.settled()
    return calls.build(
        order.revoke.call,
        values=Settled({**settled, "token_type_hint": kind}, settled.proven),
        token=Secret(text),
        client_id=revocation.client_id or None,
        client_secret=secret,
    )
