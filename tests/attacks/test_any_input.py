"""Attack by any input at all: requests made from the OpenAPI document, good ones and broken ones (row 41).

Whatever is sent: no 5xx, no status that the document does not name, no body of another shape than it says.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.app import App
from tests.parts.server import HoldfastProcess

CHECKS = "not_a_server_error,status_code_conformance,response_schema_conformance,content_type_conformance"
SEED = 20_260_101


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 20), ("postgresql", 5)])
def test_any_input_the_answers_are_those_of_the_document(
    engine: str, examples: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dsn = request.getfixturevalue("postgres").fresh_database() if engine == "postgresql" else None
    server = HoldfastProcess(tmp_path / "server", database=dsn)
    try:
        _run(server, tmp_path, examples, "examples,coverage,fuzzing")
        # And once more for an integration that there is, so that requests get past its door.
        app = App.of(server)
        app.make_sandbox()
        (tmp_path / "schemathesis.toml").write_text('[parameters]\n"path.slug" = "sandbox"\n')
        _run(server, tmp_path, examples, "fuzzing", "--include-path-regex", r"\{slug\}", "--exclude-method", "DELETE")
        assert app.call("GET", "/data-integrations/sandbox").status_code == 200
        _run(server, tmp_path, max(3, examples // 4), "examples,fuzzing", of="/openapi/scalekit.json")
    finally:
        server.stop()
    assert "unexpected_error" not in server.log()


def _run(
    server: HoldfastProcess, directory: Path, examples: int, phases: str, *more: str, of: str = "/openapi.json"
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}{of}"),
            *("--header", f"Authorization: Bearer {server.api_key}"),
            *("--checks", CHECKS, "--seed", str(SEED), "--max-examples", str(examples)),
            *("--phases", phases, "--mode", "all", "--continue-on-failure", "--request-timeout", "20"),
            *("--generation-database", "none", "--no-color", "--warnings", "off", *more),
        ],
        cwd=directory,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    tested = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[2]) >= 15 * examples
