"""Bearer tokens as they come: API keys and the access tokens of clients alike, at the proxy and at the gRPC door."""

from collections.abc import Iterable, Sequence

from holdfast.access import AccessTokens, Principal
from holdfast.errors import Unauthenticated

MOST_BEARERS = 4
"""SDKs send one `authorization`, or two after they have signed in again; more are not looked at."""


class Bearers:
    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    def recall(self, bearers: Sequence[str]) -> Principal | None:
        """Return whom one of them stood for when it was last checked. It may have been revoked since."""
        return next(filter(None, (self._tokens.recall(bearer) for bearer in bearers[:MOST_BEARERS])), None)

    async def authenticate(self, bearers: Sequence[str]) -> Principal:
        """Return the principal of the first that is valid. Raises Unauthenticated."""
        refused = Unauthenticated(
            "a token is needed: sign in at /oauth/token, or send an API key, as `Authorization: Bearer ...`"
        )
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
