"""What the groups of RPCs are given: the flows they call."""

from dataclasses import dataclass

from holdfast.access import AccessTokens, Clients, Organizations
from holdfast.accounts import Accounts, Bulk, Keeping
from holdfast.accounts.imports import Imports
from holdfast.accounts.removal import Removal
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit.paging import Pages
from holdfast.api.scalekit.provider_keys import ProviderKeys
from holdfast.authorization import Links, Verify
from holdfast.clock import Clock
from holdfast.connections import Connections, Definitions
from holdfast.events.order import Order
from holdfast.storage import Database
from holdfast.tokens import RenewingReader, TokenReader
from holdfast.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Parts:
    database: Database
    vault: Vault
    clock: Clock
    clients: Clients
    tokens: AccessTokens
    connections: Connections
    definitions: Definitions
    provider_keys: ProviderKeys
    accounts: Accounts
    imports: Imports
    removal: Removal
    keeping: Keeping
    bulk: Bulk
    links: Links
    verify: Verify
    organizations: Organizations
    reader: TokenReader
    plain: RenewingReader
    pages: Pages
    order: Order
    limiter: RateLimiter
    base_url: str
    max_body_bytes: int
