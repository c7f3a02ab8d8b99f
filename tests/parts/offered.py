"""A request as a server offers it to be answered at once."""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Scope

from holdfast.api.dispatch import Whole


class Offered:
    """As `api.dispatch.Exchange`: what is answered goes to `whole`, what is to go by a task to `otherwise`."""

    def __init__(self, scope: Scope, whole: Whole, otherwise: Callable[[ASGIApp], object]) -> None:
        self.scope, self.kept = scope, dict[str, Any]()
        self._whole, self._otherwise = whole, otherwise

    def whole(self, headers: bytes, body: bytes, status: int = 200, /) -> bool:
        return self._whole(self.scope, headers, body, status)

    def otherwise(self, app: ASGIApp, /) -> None:
        self._otherwise(app)
