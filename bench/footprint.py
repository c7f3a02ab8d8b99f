"""What a server takes while nothing happens, and how long it takes to begin."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.machine import SERVER_CORE, family, pinned, rss_mb
from bench.plan import Failed, Figure, Plan
from bench.processes import END_SECONDS, flags, started

IDLE_SECONDS = 1.5
START_SECONDS = 30.0


def run(plan: Plan) -> list[Figure]:
    """Start `holdfast serve` on a SQLite database of a thousand accounts, again and again."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        with started("holdfast", *flags(data_dir=folder, accounts=1000)) as seeded:
            key, port = seeded.key, seeded.port
        starts, tokens, memory = [], [], []
        with _served(folder, port) as (began, _):
            _until(began, f"http://127.0.0.1:{port}/healthz", None)
        for _ in range(plan.runs):
            with _served(folder, port) as (began, pid):
                starts.append(_until(began, f"http://127.0.0.1:{port}/healthz", None))
                tokens.append(_until(began, f"http://127.0.0.1:{port}/data-integrations/github/token", key))
                time.sleep(IDLE_SECONDS)
                memory.append(rss_mb(family(pid)))
    return [
        Figure("cold_start_s", round(median(starts), 3), "s", plan.runs),
        Figure("first_token_s", round(median(tokens), 3), "s", plan.runs),
        Figure("rss_idle_mb", round(median(memory), 1), "MB", plan.runs),
    ]


@contextmanager
def _served(folder: str, port: int) -> Iterator[tuple[float, int]]:
    command = [sys.executable, "-m", "holdfast.cli.main", "serve", "--data-dir", folder, "--port", str(port)]
    # As installed: compiled once, by the start before the first that counts.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log = Path(folder) / "serve.log"
    began = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(pinned(command, SERVER_CORE), stdout=out, stderr=out, env=environment)
    try:
        yield began, process.pid
    finally:
        process.terminate()
        process.wait(timeout=END_SECONDS)


def _until(began: float, url: str, key: str | None) -> float:
    """Return how long after `began` the address answers 200, with a live token if a key is given."""
    while time.monotonic() - began < START_SECONDS:
        request = urllib.request.Request(url)
        if key is not None:
            request.add_header("authorization", f"Bearer {key}")
            request.add_header("content-type", "application/json")
            request.data = b'{"user_id":"user_1"}'
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                body = reply.read()
                if key is None or json.loads(body)["active"]:
                    return time.monotonic() - began
                raise Failed("the first token is not a live one")
        except urllib.error.HTTPError as error:
            raise Failed(f"{url} answered {error.code}") from None
        except OSError:  # not there yet
            time.sleep(0.005)
    raise Failed(f"{url} did not answer within {START_SECONDS:.0f} s")
