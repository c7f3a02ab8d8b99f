"""What may stand between an SDK and the app besides `holdfast serve`: the terminators of docs/tls.md, and pyvoy."""

import pytest

from tests.conformance.scalekit_house import House
from tests.parts.pyvoy import INSTALLED, PyvoyServer
from tests.parts.terminator import KINDS, Terminator, program

Front = Terminator | PyvoyServer
FRONTS = [*KINDS, "pyvoy"]


def started(kind: str, house: House) -> Front:
    """Return one over TLS: a terminator before the house's server in clear, or pyvoy on the same data."""
    home, tls = house.home / kind, house.home / "tls"
    if kind == "pyvoy":
        if not INSTALLED:
            pytest.skip("there is no pyvoy for this machine")
        # Its sandbox is the one of the server in clear.
        told = {"DATA_DIR": str(house.home), "BASE_URL": house.clear.base_url, "DEV": "1", "SWEEP_INTERVAL": "0"}
        return PyvoyServer(home, tls, {f"HOLDFAST_{name}": value for name, value in told.items()})
    if program(kind) is None:
        pytest.skip(f"there is no {kind} here: apt-get install {kind}")
    return Terminator(kind, home, tls, house.clear.port)
