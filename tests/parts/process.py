"""Start a server as a subprocess, read what it announces, and stop it by its own process id."""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_SECONDS = 60.0
"""A cold start of Node on a busy machine has been seen to take several seconds."""
STOP_SECONDS = 20.0


class NotStarted(Exception):
    """A server ended, or said nothing in time; the message carries the end of its log."""


class ServerProcess:
    """One running subprocess. Its standard output is read line by line; its standard error goes to `log_path`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log_path = log_path
        self._command = [str(part) for part in command]
        with log_path.open("ab") as log:
            # Standard input stays open for as long as we live: our Node scripts end when it closes, so that a test
            # run that is killed leaves nothing behind.
            self._popen = subprocess.Popen(
                self._command,
                cwd=cwd,
                env=dict(env) if env is not None else None,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, None while the process runs."""
        return self._popen.poll()

    def line(self, timeout: float = START_SECONDS) -> str:
        """Return the next line of standard output. Raises NotStarted if there will be none."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            raise NotStarted(self._explained(f"said nothing for {timeout:.0f} s")) from None
        if line is None:
            self._popen.wait(STOP_SECONDS)
            raise NotStarted(self._explained(f"ended with status {self._popen.returncode}"))
        return line

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait for the process to end by itself; return its exit status."""
        return self._popen.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Send one signal (SIGSTOP and SIGCONT freeze and thaw it)."""
        if self._popen.poll() is None:
            os.kill(self._popen.pid, number)

    def stop(self) -> int:
        """Ask it to end with SIGTERM and wait; kill it if it does not. Return its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self._close()

    def kill(self) -> int:
        """SIGKILL: no goodbye, as in a power cut."""
        self.signal(signal.SIGKILL)
        status = self._popen.wait(STOP_SECONDS)
        self._close()
        return status

    def _close(self) -> None:
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _explained(self, what: str) -> str:
        time.sleep(0.05)  # the last words of a process reach its log just after it ends
        return f"{' '.join(self._command)} {what}\n{self.log()[-4000:]}"
