"""Signatures (pure). WorkOS: `WorkOS-Signature: t=<unix ms>, v1=<hex>`, HMAC-SHA256 by the whole secret over
`t.body`; its Python SDK takes exactly one signature, and the comma with its space
(https://workos.com/docs/events/data-syncing/webhooks). Standard Webhooks 1.0, which Scalekit follows:
`webhook-signature: v1,<base64>`, by the secret's base64 part over `id.seconds.body`; several may stand side by side
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import base64
import hmac
from collections.abc import Sequence

from holdfast.secret import Secret
from holdfast.webhooks.endpoint import Dialect


def headers(dialect: Dialect, secrets: Sequence[Secret], event_id: str, body: bytes, now: float) -> dict[str, str]:
    """Return the headers of a delivery. The first secret is the one that the WorkOS signature is made with."""
    signed = {"Content-Type": "application/json; charset=utf-8"}
    if dialect != "scalekit":
        signed["WorkOS-Signature"] = workos_signature(secrets[0], body, now)
    signed["webhook-id"] = event_id
    if dialect != "workos":
        seconds = str(int(now))
        signed["webhook-timestamp"] = seconds
        signed["webhook-signature"] = " ".join(standard_signature(one, event_id, seconds, body) for one in secrets)
    return signed


def workos_signature(secret: Secret, body: bytes, now: float) -> str:
    stamp = str(int(now * 1000))
    digest = hmac.digest(secret.reveal().encode(), stamp.encode() + b"." + body, "sha256").hex()
    return f"t={stamp}, v1={digest}"


def standard_signature(secret: Secret, event_id: str, seconds: str, body: bytes) -> str:
    key = base64.b64decode(secret.reveal().partition("_")[2])
    digest = hmac.digest(key, f"{event_id}.{seconds}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(digest).decode()
