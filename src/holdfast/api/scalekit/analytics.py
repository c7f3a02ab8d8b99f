"""AgentkitAnalyticsService: counts over calls."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.api.scalekit.call_filters import Filters, ends_in, spanned
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.naming import provider_key
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.connections import store as connection_store
from holdfast.errors import Invalid
from holdfast.storage import Connection as Tx
from holdfast.usage import Buckets, Counted, End, count

WEEK_SECONDS = 7 * 86400
TOP_CODES = 10


@dataclass(frozen=True)
class AnalyticsRpcs:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {"AgentkitAnalyticsService.GetOverviewStats": self.overview}

    async def overview(self, call: Call) -> Message:
        """Count the calls of a span, by default the last week. More than half a million are refused, not guessed."""
        request = call.request
        since, until = spanned(request)
        until = self.parts.clock.now() + 1 if until is None else until
        since = until - WEEK_SECONDS if since is None else since
        try:
            buckets = Buckets.over(since, until)
        except Invalid as error:
            raise bad("end_time", error.message, "gt") from None
        ends, codes = ends_in(request.status), frozenset(request.error_code)
        filters = Filters(
            providers=tuple(request.provider),
            connection_name=request.connection_name or None,
            sources=tuple(request.source),
        )

        def look(tx: Tx) -> tuple[frozenset[str] | None, dict[str, str]]:
            known = connection_store.all_of(tx, call.environment_id)
            meant = filters.connections(tx, call.environment_id, self.parts.provider_keys)
            return meant, {one.id: provider_key(one.provider_slug) for one in known}

        meant, keys = await self.parts.database.transact(look)
        counted: list[Counted] = []
        if filters.proxied():
            counted = await count(self.parts.database, call.environment_id, buckets, connections=meant)
        wanted = [
            one for one in counted if (ends is None or one.ended.end in ends) and (not codes or one.ended.code in codes)
        ]
        return call.reply(
            **_sums(wanted),
            top_error_codes=_top(wanted),
            connector_breakdown=_by_provider(wanted, keys),
            time_series=_series(wanted, buckets),
        )


def _sums(counted: Iterable[Counted]) -> dict[str, int]:
    by_end: Counter[End] = Counter()
    for one in counted:
        by_end[one.ended.end] += one.count
    provider, platform = by_end[End.PROVIDER_ERROR], by_end[End.PLATFORM_ERROR]
    return {
        "total": by_end.total(),
        "success": by_end[End.SUCCESS],
        "errors": provider + platform,
        "provider_errors": provider,
        "platform_errors": platform,
    }


def _top(counted: Iterable[Counted]) -> list[dict[str, Any]]:
    codes: Counter[str] = Counter()
    for one in counted:
        if one.ended.code:
            codes[one.ended.code] += one.count
    found = sorted(codes.items(), key=lambda item: (-item[1], item[0]))[:TOP_CODES]
    return [{"error_code": code, "count": number} for code, number in found]


def _by_provider(counted: Iterable[Counted], keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row per provider, busiest first. Calls of deleted connections are under no name."""
    grouped: dict[str, list[Counted]] = {}
    for one in counted:
        grouped.setdefault(keys.get(one.connection_id, ""), []).append(one)
    rows = [{"provider": key, **_sums(group)} for key, group in grouped.items()]
    return sorted(rows, key=lambda row: (-row["total"], row["provider"]))


def _series(counted: Iterable[Counted], buckets: Buckets) -> list[dict[str, Any]]:
    """Return a row per bucket, empty ones too."""
    grouped: dict[int, list[Counted]] = {}
    for one in counted:
        grouped.setdefault(one.bucket, []).append(one)
    return [
        {
            "bucket": {"seconds": start},
            "bucket_duration_seconds": buckets.seconds,
            **_sums(grouped.get(start, ())),
        }
        for start in buckets.starts()
    ]
