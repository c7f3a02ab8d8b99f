"""The conformance report: which methods of which SDK work against Holdfast, as a table and as `build/conformance.json`.

The file is a sorted list of `{"sdk": "workos-python" | ..., "method": str, "passed": bool, "detail": str}`.
A method is named as its users write it, from the client's class on: `WorkOSClient.pipes.get_access_token` is the
synchronous Python one, `AsyncWorkOSClient.pipes.get_access_token` the other, `WorkOS.pipes.getAccessToken` Node's.
`detail` names the tests, or tells what went wrong. Error classes are rows too: `WorkOSClient.errors.NotFoundError`.

Two ways in:

- A Python test says what it proves: `@proves("pipes.get_access_token")`. It runs once per client class, and its outcome
  (all phases) becomes that of the method. Several tests may prove one method; it passes if all of them do.
- Anything else calls `record(sdk, method, passed, detail)`. The Node suite is a test that runs a script, which prints
  one JSON object per line, `{"method": "...", "passed": true, "detail": "..."}`; `record_lines(sdk, text)` takes those.

Only what ran is reported: a run of part of the tests writes part of the table.
"""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

PYTHON, NODE = "workos-python", "workos-node"
SCALEKIT_PYTHON, SCALEKIT_NODE = "scalekit-python", "scalekit-node"
FILE = Path(__file__).parents[2] / "build" / "conformance.json"
_MARK = "proves"
SUCCEEDED = pytest.StashKey[bool]()
"""Whether a test's own part passed, for its fixtures to see as they end."""

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass
class Row:
    sdk: str
    method: str
    passed: bool
    detail: str


_rows: dict[tuple[str, str], Row] = {}


def proves(*methods: str) -> Callable[[Test], Test]:
    """Mark a test with the SDK methods whose meaning it checks, without the client's class."""

    def mark(test: Test) -> Test:
        return getattr(pytest.mark, _MARK)(*methods)(test)  # type: ignore[no-any-return]

    return mark


def proven(item: pytest.Item) -> tuple[str, ...]:
    """Return the methods that a test claims to prove."""
    return tuple(method for mark in item.iter_markers(_MARK) for method in mark.args)


def record(sdk: str, method: str, passed: bool, detail: str = "") -> None:
    """Note one outcome. A method recorded more than once passes if it always did; the first failure is the detail."""
    before = _rows.get((sdk, method))
    if before is None:
        _rows[sdk, method] = Row(sdk, method, passed, detail)
    elif before.passed and not passed:
        before.passed, before.detail = False, detail
    elif before.passed and detail and detail not in before.detail.split(", "):
        before.detail = ", ".join(filter(None, (before.detail, detail)))


def record_lines(sdk: str, text: str) -> list[Row]:
    """Record what a runner printed, one JSON object per line; other lines are its chatter. Return those that failed."""
    failed = []
    for line in text.splitlines():
        if not line.lstrip().startswith("{"):
            continue
        found = json.loads(line)
        row = Row(sdk, found["method"], found["passed"] is True, str(found.get("detail", "")))
        record(row.sdk, row.method, row.passed, row.detail)
        if not row.passed:
            failed.append(row)
    return failed


def rows() -> list[Row]:
    return [_rows[key] for key in sorted(_rows)]


class Plugin:
    """Turns test outcomes into rows, and prints them at the end of the run."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        outcome = yield
        if outcome.when == "call":
            item.stash[SUCCEEDED] = outcome.passed
        self._note(item, outcome, call)
        return outcome

    def _note(self, item: pytest.Item, outcome: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        methods = proven(item)
        if not methods or outcome.skipped or (outcome.passed and outcome.when != "call"):
            return
        suite, client = PYTHON, item.callspec.params.get("sdk", "") if hasattr(item, "callspec") else ""
        if "scalekit_python" in item.nodeid:
            suite, client = SCALEKIT_PYTHON, "ScalekitClient"
        name = getattr(item, "originalname", None) or item.name
        detail = name if outcome.passed else f"{name} ({outcome.when}): {_first_line(call)}"
        for method in methods:
            record(suite, f"{client}.{method}", outcome.passed, detail)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker of several has recorded."""
        for row in getattr(node, "workeroutput", {}).get(_MARK, ()):
            record(**row)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_MARK] = [vars(row) for row in rows()]
        elif _rows:
            FILE.parent.mkdir(exist_ok=True)
            FILE.write_text(json.dumps([vars(row) for row in rows()], indent=1) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not _rows:
            return
        terminalreporter.section("conformance: unmodified SDKs against Holdfast")
        for line in table(rows()):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"written to {FILE.relative_to(FILE.parents[1])}")


def table(found: list[Row]) -> list[str]:
    """Return a line per method, with a column per client class, and a line of totals per SDK."""
    lines = []
    for sdk in sorted({row.sdk for row in found}):
        mine = {(client, method): row for row in found if row.sdk == sdk for client, method in [_split(row.method)]}
        clients = sorted({client for client, _ in mine}, key=len)
        width = max(len(method) for _, method in mine)
        lines += ["", f"{sdk:{width}}  " + "  ".join(clients)]
        for method in sorted({method for _, method in mine}):
            cells = [_cell(mine.get((client, method))).ljust(len(client)) for client in clients]
            lines.append(f"{method:{width}}  {'  '.join(cells)}".rstrip())
        good = sum(row.passed for row in mine.values())
        lines.append(f"{good} of {len(mine)} pass")
        lines += [f"FAIL {row.method}: {row.detail}" for row in mine.values() if not row.passed]
    return lines


def _split(method: str) -> tuple[str, str]:
    client, _, rest = method.partition(".")
    return client, rest


def _cell(row: Row | None) -> str:
    return "-" if row is None else "pass" if row.passed else "FAIL"


def _first_line(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return "failed"
    return call.excinfo.exconly(tryshort=True).strip().splitlines()[0][:300]
