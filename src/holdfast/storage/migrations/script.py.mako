"""${message}"""

from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
min_compatible = ${repr(down_revision)}  # the oldest version whose code works with what this leaves behind


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
