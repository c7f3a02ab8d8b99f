"""Alembic's entry point: always over the connection that `migrate` hands in."""

from alembic import context

from holdfast.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
