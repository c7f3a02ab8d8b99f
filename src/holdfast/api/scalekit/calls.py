"""From a parsed request to a reply: who asks, may they, how often, what comes of it. Both transports end here."""

from collections.abc import Callable, Iterable, Sequence

from holdfast import metrics
from holdfast.access import AccessTokens, Principal
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import Unimplemented, render
from holdfast.api.scalekit.rpc import Call, Rpc
from holdfast.api.scalekit.rules import check
from holdfast.errors import TooMany, Unauthenticated

MOST_BEARERS = 4
"""SDKs send one `authorization`, or two after they have signed in again; more are not looked at."""


class Caller:
    def __init__(self, tokens: AccessTokens, limiter: RateLimiter) -> None:
        self._tokens, self._limiter = tokens, limiter

    async def answer(
        self,
        rpc: Rpc,
        bearers: Sequence[str],
        parse: Callable[[], Message],
        request_id: str,
    ) -> Message:
        """Return the reply. `parse` makes the request and is not called for somebody unknown. Raises HoldfastError."""
        try:
            reply = await self._answer(rpc, bearers, parse, request_id)
        except Exception as error:
            metrics.REQUESTS.add(rpc.method.name, render(error, request_id).code.name)
            raise
        metrics.REQUESTS.add(rpc.method.name, "OK")
        return reply

    async def _answer(self, rpc: Rpc, bearers: Sequence[str], parse: Callable[[], Message], request_id: str) -> Message:
        method = rpc.method
        if rpc.handler is None:
            raise Unimplemented(f"{method.name} is not implemented here")
        believed = self._recall(bearers) if rpc.swift is not None else None
        counted = believed is not None and self._limiter.take(believed.key_id) is None
        request: Message | None = None
        if rpc.swift is not None and believed is not None and counted:
            request = parse()
            check(request)
            swift = await rpc.swift(Call(believed, request, method, request_id))
            if swift is not None:
                return swift
        principal = await self._authenticate(bearers)
        wait = None if counted else self._limiter.take(principal.key_id)
        if wait is not None:
            raise TooMany("too many requests with this key: slow down", retry_after=wait)
        if request is None:
            request = parse()
            check(request)
        return await rpc.handler(Call(principal, request, method, request_id))

    def _recall(self, bearers: Sequence[str]) -> Principal | None:
        return next(filter(None, (self._tokens.recall(bearer) for bearer in bearers[:MOST_BEARERS])), None)

    async def _authenticate(self, bearers: Sequence[str]) -> Principal:
        refused = Unauthenticated("no access token: sign in at /oauth/token, or send an API key as the bearer")
        for bearer in bearers[:MOST_BEARERS]:
            try:
                return await self._tokens.authenticate(bearer)
            except Unauthenticated as error:
                refused = error
        raise refused


def bearers_of(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return every bearer token, in order. An SDK sends two after it has signed in again, the second one stale, and
    proxies may join them with a comma: https://www.rfc-editor.org/rfc/rfc9110#section-5.3"""
    found = []
    for name, value in headers:
        if name == b"authorization":
            for part in value.split(b","):
                scheme, _, token = part.strip().partition(b" ")
                if scheme.lower() == b"bearer" and token.strip():
                    found.append(token.strip().decode("latin-1"))
    return found
