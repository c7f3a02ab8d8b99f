"""Fixtures for every test (see tests/parts), and what a whole run tells at its end, whichever of its workers did it."""

import pytest

from tests.conformance import report
from tests.faults import telling

pytest_plugins = ["tests.parts.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "proves(*methods): the SDK methods whose meaning a test checks")
    config.pluginmanager.register(report.Plugin(), "conformance-report")
    config.pluginmanager.register(telling.Plugin(), "faults-report")
