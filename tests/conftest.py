"""Fixtures for every test: see tests/parts."""

pytest_plugins = ["tests.parts.fixtures"]
