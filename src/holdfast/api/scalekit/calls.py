"""From a parsed request to a reply: who asks, may they, how often, what comes of it. Both transports end here."""

from collections.abc import Callable, Sequence

from holdfast import metrics
from holdfast.access import AccessTokens
from holdfast.api.bearers import Bearers
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import Unimplemented, render
from holdfast.api.scalekit.rpc import Call, Rpc
from holdfast.api.scalekit.rules import check
from holdfast.errors import TooMany


class Caller:
    def __init__(self, tokens: AccessTokens, limiter: RateLimiter) -> None:
        self._bearers, self._limiter = Bearers(tokens), limiter

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
        believed = self._bearers.recall(bearers) if rpc.swift is not None else None
        counted = believed is not None and self._limiter.take(believed.key_id) is None
        request: Message | None = None
        if rpc.swift is not None and believed is not None and counted:
            request = parse()
            check(request)
            swift = await rpc.swift(Call(believed, request, method, request_id))
            if swift is not None:
                return swift
        principal = await self._bearers.authenticate(bearers)
        wait = None if counted else self._limiter.take(principal.key_id)
        if wait is not None:
            raise TooMany("too many requests with this key: slow down", retry_after=wait)
        if request is None:
            request = parse()
            check(request)
        return await rpc.handler(Call(principal, request, method, request_id))
