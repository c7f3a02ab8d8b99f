"""What the groups of operations are given: the flows they call."""

from dataclasses import dataclass

from holdfast.access import Keys
from holdfast.access.widgets import WidgetTokens
from holdfast.accounts import Accounts
from holdfast.accounts.imports import Imports
from holdfast.accounts.removal import Removal
from holdfast.api.rate import RateLimiter
from holdfast.authorization import Begin, Finish
from holdfast.clock import Clock
from holdfast.connections import Connections
from holdfast.events.order import Order
from holdfast.storage import Database
from holdfast.tokens import RenewingReader, TokenReader
from holdfast.vault import Vault
from holdfast.webhooks import Endpoints


@dataclass(frozen=True, kw_only=True)
class Parts:
    database: Database
    vault: Vault
    clock: Clock
    keys: Keys
    widgets: WidgetTokens
    connections: Connections
    accounts: Accounts
    imports: Imports
    removal: Removal
    reader: TokenReader
    plain: RenewingReader
    begin: Begin
    finish: Finish
    order: Order
    endpoints: Endpoints
    limiter: RateLimiter
    base_url: str
    dev: bool
    max_body_bytes: int
