"""The read that a refresh is made for: its entry is written with the new pair, so that the token can leave at once."""

from dataclasses import dataclass

from holdfast.accounts import Account
from holdfast.secret import Secret
from holdfast.tokens import policy


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One user's plain read, by a key and of a connection that the statement checks again. Known by its identity."""

    key_id: str
    name: str
    request_id: str
    min_ttl: float | None
    """As the caller asked; None = `usual_ttl`."""
    usual_ttl: float

    def is_content(self, account: Account, now: float) -> bool:
        """Tell whether the account's token can leave for this read as it is, with nothing to be done after."""
        min_ttl = policy.default_ttl(account, self.usual_ttl) if self.min_ttl is None else self.min_ttl
        lives = account.expires_at is None or account.expires_at - now > min_ttl
        decision = policy.decide(account, now, min_ttl)
        return lives and isinstance(decision, policy.Serve) and not decision.due


@dataclass(frozen=True, slots=True)
class Served:
    """A read whose entry is durable: its token, and the connection as it stood in that transaction."""

    reading: Reading
    access: Secret
    provider_slug: str
    asked: str | None
    """The scopes that the connection asks for, as JSON."""
