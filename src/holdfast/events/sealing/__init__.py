"""Sealing: the proof that the log is what it was.

A Seal covers the next entries of one environment, in the log's order: their ids, the hash of each, and a hash over all
of that and the seal before. Entries themselves are never written to again. A Checkpoint is a signed statement of an
environment's last seal; one that is kept elsewhere shows a tail that was cut, or a chain that was made anew.

    seal.py         what is hashed, and the chain (pure)
    sealer.py       seals what is new; one at a time, whichever replica comes first. Now and then it has PostgreSQL's
                    summaries of the log (`events.store`) take in what is new
    checkpoint.py   the Checkpoint record; checkpoints.py signs (Ed25519, the key sealed in the vault) and stores
    verify.py       walks the chain and names the first entry that is not as it was

Leaves the order to `events.order`. What is not sealed yet is not proven yet: it is what came in the last moment.
"""

from holdfast.events.sealing.checkpoint import Checkpoint
from holdfast.events.sealing.checkpoints import Checkpoints
from holdfast.events.sealing.seal import Seal
from holdfast.events.sealing.sealer import Sealer
from holdfast.events.sealing.verify import Finding, Verified, Verifier

__all__ = ["Checkpoint", "Checkpoints", "Finding", "Seal", "Sealer", "Verified", "Verifier"]
