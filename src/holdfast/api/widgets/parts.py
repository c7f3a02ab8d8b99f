"""What the widgets' endpoints are given."""

from dataclasses import dataclass

from holdfast.access.widgets import Origins, WidgetTokens
from holdfast.api.rate import RateLimiter
from holdfast.authorization import Mine
from holdfast.storage import Database


@dataclass(frozen=True, kw_only=True)
class WidgetParts:
    database: Database
    tokens: WidgetTokens
    origins: Origins
    mine: Mine
    limiter: RateLimiter
    base_url: str
    app_name: str
    max_body_bytes: int
