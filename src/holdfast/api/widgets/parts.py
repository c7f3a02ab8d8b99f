"""What the widgets' endpoints are given."""

from dataclasses import dataclass

from holdfast.access.branding import store as branding_store
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

    async def shown_name(self, environment_id: str) -> str:
        """Return the app's name, as the environment's end users know it."""
        branding = await self.database.transact(lambda tx: branding_store.branding_of(tx, environment_id))
        return branding.name or self.app_name
