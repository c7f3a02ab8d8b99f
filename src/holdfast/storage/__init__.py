"""Storage: two engines, one SQL implementation.

Owns the engines (`engine`, and `postgres` for what a failover or a pooler asks of it), transactions, leases and
migrations. Leaves every table and every query to the room whose noun it is:
a room's `store.py` defines its tables on `storage.metadata` and is made of plain functions over a SQLAlchemy
`Connection`. A transaction is one such function handed to `Database.transact`; as it cannot await, no transaction can
stay open across a call to a provider.
"""

from sqlalchemy import Connection

from holdfast.storage.engine import Database, open_database
from holdfast.storage.tables import metadata

__all__ = ["Connection", "Database", "metadata", "open_database"]
