"""The figures of a run's faults, printed at its end."""

from typing import Any

import pytest

TOLD: list[str] = []


class Plugin:
    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker of several has measured."""
        TOLD.extend(getattr(node, "workeroutput", {}).get("faults", ()))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["faults"] = TOLD

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if TOLD:
            terminalreporter.section("faults")
            for line in sorted(TOLD):
                terminalreporter.write_line(line)
