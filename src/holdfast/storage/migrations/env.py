"""Alembic's entry point: always over the connection that `migrate` hands in."""

import time
from typing import Any

from alembic import context
from sqlalchemy import text

from holdfast.storage.tables import metadata


def _write_down(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    """Record what each migration says of the code that works with it."""
    revision = step.up_revision
    ctx.connection.execute(
        text("INSERT INTO schema_versions (version, min_compatible, applied_at) VALUES (:version, :oldest, :now)"),
        {"version": revision.revision, "oldest": revision.module.min_compatible, "now": time.time()},
    )


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
    on_version_apply=_write_down,
)
context.run_migrations()
