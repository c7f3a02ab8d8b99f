"""Every store behaviour runs on both engines, and so does a whole house."""

from tests.storage.engines import database, database_url, environment_id, fresh_url
from tests.tokens.house import built_house, house
from tests.tokens.plain import plain

__all__ = ["built_house", "database", "database_url", "environment_id", "fresh_url", "house", "plain"]
