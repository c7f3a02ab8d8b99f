"""Every store behaviour runs on both engines."""

from tests.parts.fixtures import browser
from tests.storage.engines import database, database_url, environment_id, fresh_url
from tests.tokens.house import built_house, house

__all__ = ["browser", "built_house", "database", "database_url", "environment_id", "fresh_url", "house"]
