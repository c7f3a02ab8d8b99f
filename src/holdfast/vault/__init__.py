"""The vault: the only room that turns a Secret into a Sealed and back.

Envelope encryption. Each environment has data keys (AES-256-GCM); each data key is stored wrapped by a key-encryption
key that a key provider holds (a local key file by default). Every ciphertext is bound by associated data to the place
it belongs to: environment, record, field, version. Moved to another row, or rolled back, it does not open.

States of a data key: current (seals and opens), former (opens only), destroyed (its environment's backups are noise).
Leaves to others: what is secret (the rooms' records say so by type), and when to hand a secret out (tokens, events).
"""

from holdfast.secret import Secret
from holdfast.vault.key_file import LocalKeyFile
from holdfast.vault.sealed import Place, Sealed
from holdfast.vault.vault import Vault

__all__ = ["LocalKeyFile", "Place", "Sealed", "Secret", "Vault"]
