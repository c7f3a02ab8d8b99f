"""Every store behaviour runs on both engines."""

from tests.storage.engines import database, database_url, environment_id, fresh_url

__all__ = ["database", "database_url", "environment_id", "fresh_url"]
