"""The wiring: a start opens the rooms, then the doors in front of them. Nowhere else is a room given its parts."""

from dataclasses import dataclass

from starlette.types import ASGIApp

from holdfast.clock import Clock, SystemClock
from holdfast.config import Config
from holdfast.doors import open_doors
from holdfast.rooms import DEFAULT_ENVIRONMENT, Firsts, Rooms, open_rooms, open_vault
from holdfast.secret import Secret

__all__ = ["DEFAULT_ENVIRONMENT", "Firsts", "Holdfast", "build", "open_vault"]


@dataclass(frozen=True, kw_only=True)
class Holdfast(Rooms):
    """A running server: its rooms, and `app`, which is all its doors."""

    app: ASGIApp

    @property
    def first_key(self) -> Secret | None:
        return self.firsts.key


async def build(config: Config, clock: Clock | None = None) -> Holdfast:
    """Open everything and wire it up. `config.base_url` must be set (see `config.with_address`)."""
    rooms = await open_rooms(config, clock or SystemClock())
    return Holdfast(**vars(rooms), app=open_doors(rooms))
