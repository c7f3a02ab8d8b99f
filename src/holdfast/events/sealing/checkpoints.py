"""Making checkpoints, and writing them as lines to be kept elsewhere."""

import base64
import binascii
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast import ids
from holdfast.clock import Clock, from_iso, iso
from holdfast.errors import Invalid
from holdfast.events.sealing import store
from holdfast.events.sealing.checkpoint import Checkpoint, SigningKey
from holdfast.events.sealing.seal import Head
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Sealed, Vault

Sink = Callable[[str], None]
"""Takes one line, to be kept where whoever can write the database cannot."""


class Checkpoints:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, *, interval: float, sink: Sink | None = None
    ) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self._interval, self._sink = interval, sink

    async def write(self, *, now_due: bool = False) -> list[Checkpoint]:
        """Make a checkpoint for each chain that has grown and whose last one is `interval` seconds old (or at once).

        It is handed to the sink after it is stored; a process killed in between leaves it in the table alone.
        """
        return [
            written
            for environment_id in await self._database.transact(store.sealed_environments)
            if (written := await self._write(environment_id, now_due=now_due)) is not None
        ]

    async def _write(self, environment_id: str, *, now_due: bool) -> Checkpoint | None:
        now = self._clock.now()

        def due(tx: Tx) -> Head | None:
            head, last = store.head(tx, environment_id), store.last_checkpoint(tx, environment_id)
            if last is not None and (head.number <= last.number or (now < last.at + self._interval and not now_due)):
                return None
            return head

        head = await self._database.transact(due)
        if head is None:
            return None
        key, private = await self._key(environment_id)
        unsigned = Checkpoint(
            environment_id=environment_id,
            number=head.number,
            at=from_iso(iso(now)),
            total=head.total,
            hash=head.hash,
            key_id=key.id,
        )
        checkpoint = replace(unsigned, signature=private.sign(unsigned.signed()))
        await self._database.transact(lambda tx: store.add_checkpoint(tx, checkpoint))
        if self._sink is not None:
            self._sink(line(checkpoint, key.public))
        return checkpoint

    async def _key(self, environment_id: str) -> tuple[SigningKey, Ed25519PrivateKey]:
        """Return the environment's current key, made on first use."""
        known = await self._database.transact(lambda tx: store.keys(tx, environment_id))
        if known:
            opened = await self._vault.open_fresh(known[-1].secret, known[-1].place())
            return known[-1], Ed25519PrivateKey.from_private_bytes(base64.b64decode(opened.reveal()))
        await self._vault.ready(environment_id)
        private, now = Ed25519PrivateKey.generate(), self._clock.now()
        key_id = ids.new_id(now)
        place = SigningKey(environment_id, key_id, b"", Sealed(b""), now).place()
        secret = self._vault.seal(Secret(base64.b64encode(private.private_bytes_raw()).decode()), place)
        made = SigningKey(environment_id, key_id, private.public_key().public_bytes_raw(), secret, now)
        await self._database.transact(lambda tx: store.add_key(tx, made))
        return made, private


def line_sink(path: str) -> Sink | None:
    """Return what adds lines to a file, durably, or (`-`) to standard output; None for no path."""
    if not path:
        return None

    def write(text: str) -> None:
        if path == "-":
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
            return
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())

    return write


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="holdfast", tag="checkpoint"):
    version: int = 1
    environment_id: str
    seal: int
    entries: int
    hash: str
    at: str
    key_id: str
    public_key: str
    signature: str


def line(checkpoint: Checkpoint, public: bytes) -> str:
    """Write a checkpoint as one line of JSON, to be kept elsewhere."""
    return msgspec.json.encode(
        _Line(
            environment_id=checkpoint.environment_id,
            seal=checkpoint.number,
            entries=checkpoint.total,
            hash=checkpoint.hash.hex(),
            at=iso(checkpoint.at),
            key_id=checkpoint.key_id,
            public_key=base64.b64encode(public).decode(),
            signature=base64.b64encode(checkpoint.signature).decode(),
        )
    ).decode()


def from_line(text: str) -> tuple[Checkpoint, bytes]:
    """Read a kept line: the checkpoint, and the public key that it came with. Raises Invalid."""
    try:
        said = msgspec.json.decode(text, type=_Line)
        checkpoint = Checkpoint(
            environment_id=said.environment_id,
            number=said.seal,
            at=from_iso(said.at),
            total=said.entries,
            hash=bytes.fromhex(said.hash),
            key_id=said.key_id,
            signature=base64.b64decode(said.signature),
        )
        return checkpoint, base64.b64decode(said.public_key)
    except (msgspec.DecodeError, ValueError, binascii.Error):
        raise Invalid("this is no line of a checkpoint file") from None
