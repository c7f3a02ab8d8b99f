"""Which calls are meant: what logs and analytics filter by."""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.inputs import time_in
from holdfast.api.scalekit.provider_keys import ProviderKeys
from holdfast.connections import store as connection_store
from holdfast.storage import Connection as Tx
from holdfast.usage import End

SOURCES = frozenset({"API", "MCP", "PROXY", "GATEWAY"})
MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class Filters:
    providers: tuple[str, ...] = ()
    connection_name: str | None = None
    connection_id: str | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_few("provider", self.providers)
        _check_few("source", self.sources)
        for place, source in enumerate(self.sources):
            if source not in SOURCES:
                raise bad(f"source[{place}]", f"is one of {', '.join(sorted(SOURCES))}", "in")

    def words(self) -> tuple[str, ...]:
        named = (self.connection_name or "", self.connection_id or "")
        return (*named, "", *sorted(self.providers), "", *sorted(self.sources), "")

    def proxied(self) -> bool:
        """Tell whether calls of the proxy are among those meant: no others are on record yet."""
        return not self.sources or "PROXY" in self.sources

    def connections(self, tx: Tx, environment_id: str, keys: ProviderKeys) -> frozenset[str] | None:
        """Return the ids of the connections meant; None = all, deleted ones too."""
        if not self.providers and self.connection_name is None:
            return None if self.connection_id is None else frozenset({self.connection_id})
        slugs = keys.slugs(tx, environment_id, self.providers) if self.providers else None
        return frozenset(
            one.id
            for one in connection_store.all_of(tx, environment_id)
            if (slugs is None or one.provider_slug in slugs)
            and self.connection_name in (None, one.name)
            and self.connection_id in (None, one.id)
        )


def ends_in(given: Iterable[str]) -> frozenset[End] | None:
    """Return how calls ended, by status; none given = None."""
    given = tuple(given)
    _check_few("status", given)
    known = {end.value: end for end in End}
    for place, status in enumerate(given):
        if status not in known:
            raise bad(f"status[{place}]", f"is one of {', '.join(known)}", "in")
    return frozenset(known[status] for status in given) or None


def spanned(request: Message) -> tuple[float | None, float | None]:
    """Return start_time and end_time. Raises Unprocessable if the one is not before the other."""
    since, until = time_in(request, "start_time"), time_in(request, "end_time")
    if since is not None and until is not None and since >= until:
        raise bad("end_time", "is after start_time", "gt")
    return since, until


def _check_few(field: str, given: tuple[str, ...]) -> None:
    if len(given) > MOST_VALUES:
        raise bad(field, f"takes {MOST_VALUES} at most", "max_items")
    for place, text in enumerate(given):
        if len(text) > 100:
            raise bad(f"{field}[{place}]", "takes 100 characters at most", "max_len")
