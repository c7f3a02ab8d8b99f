"""Attack by any input at all: requests made from the OpenAPI document, good ones and broken ones (row 41).

Whatever is sent: no 5xx, no status that the document does not name, no body of another shape than it says.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.app import App
from tests.parts.server import HoldfastProcess

CHECKS = "not_a_server_error,status_code_conformance,response_schema_conformance,content_type_conformance"
SEED = 20_260_101


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 25), ("postgresql", 8)])
def test_any_input_the_answers_are_those_of_the_document(
    engine: str, examples: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dsn = request.getfixturevalue("postgres").fresh_database() if engine == "postgresql" else None
    server = HoldfastProcess(tmp_path / "server", database=dsn)
    try:
        app = App.of(server)
        app.make_sandbox()
        app.make_custom("custom", "https://provider.example")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json"),
                *("--header", f"Authorization: Bearer {server.api_key}"),
                *("--checks", CHECKS, "--seed", str(SEED), "--max-examples", str(examples)),
                *("--phases", "examples,coverage,fuzzing", "--mode", "all", "--continue-on-failure"),
                *("--request-timeout", "20", "--generation-database", "none", "--no-color"),
            ],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert app.call("GET", "/data-integrations").status_code == 200
    finally:
        server.stop()
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    assert "unexpected_error" not in server.log()
