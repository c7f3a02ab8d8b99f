"""What a fault came to: figures with units in their names, printed and kept in build/faults.json."""

import fcntl
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONG = os.environ.get("HOLDFAST_FAULTS") == "long"
FORM = "long" if LONG else "short"
PLACE = Path(__file__).parent.parent.parent / "build" / "faults.json"


def form(short: Any, long: Any) -> Any:
    """Return the size for the form that is run."""
    return long if LONG else short


@dataclass
class Figures:
    name: str
    seed: int
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def tell(self, **values: Any) -> None:
        """Note figures: they are kept even if the test fails on one of them."""
        self.values.update(values)

    def record(self) -> dict[str, Any]:
        return {"name": self.name, "form": FORM, "seed": self.seed, **self.values}

    def line(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.values.items())
        return f"{self.name} ({FORM}, seed {self.seed}): {told}"


def keep(figures: Figures) -> None:
    """Put the figures into the file, in the place of earlier ones of the same fault and form."""
    PLACE.parent.mkdir(exist_ok=True)
    with PLACE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the same run
        others = [item for item in _kept() if (item["name"], item["form"]) != (figures.name, FORM)]
        text = json.dumps([*others, figures.record()], indent=1)
        new = PLACE.with_suffix(f".{os.getpid()}")
        new.write_text(text + "\n")
        new.replace(PLACE)


def _kept() -> Iterator[dict[str, Any]]:
    if PLACE.exists():
        yield from json.loads(PLACE.read_text())


def seed() -> int:
    """Return HOLDFAST_FAULTS_SEED, or a new seed."""
    return int(os.environ.get("HOLDFAST_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))
