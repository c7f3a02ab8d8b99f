"""What can be made to go wrong at the sandbox, as a frozen value: each change or use makes another."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from holdfast.errors import Invalid
from holdfast.lab.people import PEOPLE, SCOPES, person

When = Literal["before", "after"]
"""Before or after the sandbox changed its state (used the code up, rotated the refresh token)."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class Failing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next `count` token requests answer `status` with an OAuth error body."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    count: Count = 1
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    error: str | None = None
    """The OAuth error code; by default one that goes with the status."""
    when: When = "before"


class LosingReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next `count` token requests get no answer: the connection is closed (see `routes.LostReply`)."""

    count: Count = 1
    when: When = "after"


class Switches(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    access_lifetime: Annotated[int, msgspec.Meta(ge=1, le=31_536_000)] = 3600
    """Seconds that access tokens issued from now on live."""
    rotation: Literal["each_use", "none"] = "each_use"
    reuse_grace: Seconds = 0
    """Seconds after a rotation in which the previous refresh token is still taken, and answered with the current."""
    omit_expires_in: bool = False
    omit_refresh_token: bool = False
    """Answers to a refresh carry no refresh token, and the one presented stays good (as Google does)."""
    deny_next: Count = 0
    """So many consents end in `access_denied`, whatever the person presses."""
    fail_next: Failing | None = None
    lose_reply: LosingReply | None = None
    slow_seconds: Seconds = 0
    """Token requests are carried out at once and answered so much later: the worst order for a client that gives up."""
    drop_scopes: tuple[str, ...] = ()
    """Never granted, though asked for and ticked."""
    auto_consent_as: str | None = None
    """Who consents without being shown the page: a person's `sub` or e-mail address."""

    @property
    def rotates(self) -> bool:
        return self.rotation == "each_use" and not self.omit_refresh_token


def changed(switches: Switches, changes: Mapping[str, Any]) -> Switches:
    """Return the switches with some of them set anew. Raises Invalid, naming what is wrong."""
    given = dict(changes)
    if isinstance(given.get("deny_next"), bool):
        given["deny_next"] = int(given["deny_next"])
    try:
        made = msgspec.convert({**msgspec.to_builtins(switches), **given}, Switches)
    except msgspec.ValidationError as error:
        raise Invalid(f"These switches cannot be set so: {error}.") from None
    if made.auto_consent_as is not None and person(made.auto_consent_as) is None:
        raise Invalid(f"auto_consent_as is none of {', '.join(known.email for known in PEOPLE)}.")
    if unknown := set(made.drop_scopes) - SCOPES.keys():
        raise Invalid(f"drop_scopes names no scope of the sandbox: {', '.join(sorted(unknown))}.")
    return made


def from_form(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the control page's form as the changes it stands for. An empty field is the default. Raises Invalid."""
    form = {name: value.strip() for name, value in fields}
    try:
        losing, failing = _number(form, "lose_count"), _number(form, "fail_count")
        return {
            "access_lifetime": _number(form, "access_lifetime", 3600),
            "rotation": form.get("rotation", "each_use"),
            "reuse_grace": float(form.get("reuse_grace") or 0),
            "omit_expires_in": "omit_expires_in" in form,
            "omit_refresh_token": "omit_refresh_token" in form,
            "deny_next": _number(form, "deny_next"),
            "fail_next": {
                "status": _number(form, "fail_status", 503),
                "count": failing,
                "retry_after": _number(form, "fail_retry_after") if form.get("fail_retry_after") else None,
                "error": form.get("fail_error") or None,
                "when": form.get("fail_when", "before"),
            }
            if failing
            else None,
            "lose_reply": {"count": losing, "when": form.get("lose_when", "after")} if losing else None,
            "slow_seconds": float(form.get("slow_seconds") or 0),
            "drop_scopes": [value for name, value in fields if name == "drop_scopes"],
            "auto_consent_as": form.get("auto_consent_as") or None,
        }
    except ValueError:
        raise Invalid("A number was expected where something else was entered.") from None


def _number(form: Mapping[str, str], name: str, default: int = 0) -> int:
    return int(form.get(name) or default)


def take_denial(switches: Switches) -> tuple[Switches, bool]:
    """Return the switches after one consent, and whether it is to be denied."""
    if not switches.deny_next:
        return switches, False
    return replace(switches, deny_next=switches.deny_next - 1), True


def take_failure(switches: Switches, when: When) -> tuple[Switches, Failing | None]:
    """Return the switches after one token request, and the failure that answers it at this point."""
    failing = switches.fail_next
    if failing is None or failing.when != when or not failing.count:
        return switches, None
    left = replace(failing, count=failing.count - 1)
    return replace(switches, fail_next=left if left.count else None), failing


def take_lost_reply(switches: Switches, when: When) -> tuple[Switches, bool]:
    """Return the switches after one token request, and whether its reply is lost at this point."""
    losing = switches.lose_reply
    if losing is None or losing.when != when or not losing.count:
        return switches, False
    left = replace(losing, count=losing.count - 1)
    return replace(switches, lose_reply=left if left.count else None), True
