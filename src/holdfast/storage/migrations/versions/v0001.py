"""The first schema."""

from holdfast.storage.migrations.first import access, accounts, connections, events, rest

revision = "0001"
down_revision = None
min_compatible = "0001"


def upgrade() -> None:
    for room in (access, accounts, connections, events, rest):
        room.upgrade()
