"""The log is counted as a whole: each test has a database of its own."""

from tests.storage.engines import fresh_url

__all__ = ["fresh_url"]
