"""A clock that can be moved in a running process: libfaketime, from Debian's package faketime."""

import os
import time
from pathlib import Path

import pytest

_PLACES = (
    *Path("/usr/lib").glob("*/faketime/libfaketime.so.1"),
    *(path for path in (Path("/usr/lib/faketime/libfaketime.so.1"),) if path.exists()),
)


class FakeTime:
    """`env` is for the process to start with. Its monotonic clock is the real one: without that, a jump back would
    stop its event loop for good."""

    def __init__(self, place: Path) -> None:
        if not _PLACES:
            if os.environ.get("CI"):
                raise RuntimeError("CI needs libfaketime: no test of the clock may be left out there")
            pytest.skip("there is no libfaketime here: apt-get install faketime")
        self._file = place
        self.offset = 0.0
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(_PLACES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(place),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, offset: float) -> None:
        """Let the process be so many seconds ahead of the real time."""
        self.offset = offset
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+.3f}s\n")
        new.replace(self._file)

    def now(self) -> float:
        """Return the process's time."""
        return time.time() + self.offset
