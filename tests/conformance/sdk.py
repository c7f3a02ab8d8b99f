"""The official Python SDK as the tests use it: one spelling for its synchronous and its asynchronous client."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from workos import AsyncWorkOSClient, WorkOSClient

CLIENTS: dict[str, type[WorkOSClient] | type[AsyncWorkOSClient]] = {
    "WorkOSClient": WorkOSClient,
    "AsyncWorkOSClient": AsyncWorkOSClient,
}


class Sdk:
    """A client whose every method is awaited: `await sdk.pipes.get_access_token(...)`.

    The call, its arguments and its reply are the SDK's own. `called` holds the methods used so far. The synchronous
    client blocks the test's event loop while it waits, which is no harm: the server is a process of its own.
    """

    def __init__(self, client: WorkOSClient | AsyncWorkOSClient) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, service: str) -> "_Service":
        return _Service(self, service)


class _Service:
    def __init__(self, sdk: Sdk, name: str) -> None:
        self._sdk, self._name = sdk, name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        function = getattr(getattr(self._sdk.client, self._name), method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._sdk.called.add(f"{self._name}.{method}")
            reply = function(*args, **kwargs)
            return await reply if inspect.isawaitable(reply) else reply

        return call


async def everything(page: Any, *, most: int = 1000) -> list[Any]:
    """Return the items of a page and of those after it, through the SDK's own `auto_paging_iter`; at most so many."""
    found = []
    walk = page.auto_paging_iter()
    if hasattr(walk, "__aiter__"):
        async for item in walk:
            found.append(item)
            if len(found) == most:
                break
        return found
    for item in walk:
        found.append(item)
        if len(found) == most:
            break
    return found


def value(item: Any) -> Any:
    """Return an SDK enum's value. The SDK keeps values that it does not know as they came."""
    return getattr(item, "value", item)
