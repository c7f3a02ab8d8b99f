"""What pages say: times, statuses and entries in words, and what an act says it has done."""

import datetime
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from holdfast.clock import Clock

_FLASHES = {
    "saved": "Saved.",
    "moved": "Saved. It moved to another host, so client secrets were cleared: enter them again at its connections.",
    "deleted": "Deleted.",
    "made": "Made.",
    "connection-made": "The connection is made. Register its redirect URI at the provider, then test it.",
    "enabled": "Enabled.",
    "disabled": "Switched off.",
    "invited": "Invited: send them the link below.",
    "revoked": "Revoked. It works no more.",
    "refreshed": "Refreshed: the account has a new token.",
    "suspended": "Suspended: nobody gets its token until it is resumed.",
    "resumed": "Resumed.",
    "disconnected": "Disconnected.",
    "call-approved": "Approved, for this one call: its caller may repeat it within ten minutes.",
    "call-denied": "Denied: for the rest of its day this call is refused without asking again.",
    "replayed": "Sent again.",
    "none-failed": "There was none to send again.",
    "signed-out": "You are signed out.",
}

STATUS_WORDS = {
    "pending": ("Pending", "wait", "The link was made; its user has not finished connecting."),
    "verifying": ("Verifying", "wait", "Consent was given; the app has yet to confirm the user."),
    "active": ("Active", "good", "Its token is live."),
    "expired": ("Expired", "bad", "The provider refuses to renew it: the user must connect again."),
    "error": ("Error", "bad", "It cannot be used as it is set up."),
    "revoked": ("Disconnected", "off", "It was taken back."),
    "suspended": ("Suspended", "off", "An administrator paused it."),
}

EVENT_WORDS = {
    "connected": "An account works: connected, or connected again",
    "created": "An account was connected for the first time",
    "updated": "An account's settings or credential were changed",
    "deleted": "An account was disconnected or deleted",
    "disconnected": "An account was disconnected or deleted",
    "reauthorization_needed": "Its owner has to connect it again",
    "connection_failed": "Somebody tried to connect, and it failed",
    "add_failed": "Adding one more account failed",
    "status_updated": "An account's status changed",
    "magic_link_generated": "A link was made for a user to connect with",
    "token_refresh_succeeded": "A token was renewed; at many accounts, many of these",
    "token_refresh_failed": "A token could not be renewed",
}
"""By the last part of an event's name."""

DELIVERY_WORDS = {
    "delivered": ("Delivered", "good", "The receiver answered 2xx."),
    "due": ("On its way", "wait", "It is sent, or sent again, at its time."),
    "waiting": ("Waiting", "off", "An earlier one of the same account goes first."),
    "dead": ("Failed", "bad", "Given up after the last retry. It can be sent again."),
}


def flash(name: str) -> str:
    return _FLASHES.get(name, "")


def filters(clock: Clock) -> dict[str, Callable[..., Any]]:
    return {
        "ago": lambda at: ago(at, clock.now()),
        "when": when,
        "count": count,
        "duration": duration,
        "method": method,
        "status": status,
        "delivery": delivery,
        "initials": initials,
        "hue": hue,
    }


def when(at: float | None) -> Markup:
    """Return a moment as <time>, in UTC to the second."""
    if at is None:
        return Markup("<span class=quiet>–</span>")
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def ago(at: float | None, now: float) -> Markup:
    """Return how long ago, or in how long, with the moment as its title."""
    if at is None:
        return Markup("<span class=quiet>–</span>")
    distance = abs(now - at)
    text = f"{duration(distance)} ago" if at <= now else f"in {duration(distance)}"
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "now" if distance < 5 else text,
    )


def duration(seconds: float) -> str:
    """Return seconds in the one unit that fits: `45 s`, `12 min`, `3 h`, `9 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def count(number: float) -> str:
    """Return a count as people write it: 1,204 or 48.2k or 1.3M."""
    if number < 10_000:
        return f"{number:,.0f}"
    if number < 1_000_000:
        return f"{number / 1000:.1f}k"
    return f"{number / 1_000_000:.1f}M"


def method(name: str) -> str:
    """Return a way to connect as people write it: `OAuth`, `API key`, `client credentials`."""
    return {
        "oauth": "OAuth",
        "oauth2": "OAuth 2.0",
        "api_key": "API key",
        "jwt_bearer": "JWT",
        "none": "no credential",
    }.get(name, name.replace("_", " "))


def status(name: str) -> Markup:
    """Return a status as a chip that says it in a word and in a colour."""
    word, tone, meaning = STATUS_WORDS.get(name, (name.capitalize(), "off", ""))
    return Markup('<span class="chip {}" title="{}">{}</span>').format(tone, meaning, word)


def delivery(name: str) -> Markup:
    """Return a delivery's status as a chip."""
    word, tone, meaning = DELIVERY_WORDS.get(name, (name, "off", ""))
    return Markup('<span class="chip {}" title="{}">{}</span>').format(tone, meaning, word)


def initials(name: str) -> str:
    """Return one or two letters that stand for a name."""
    parts = [part for part in name.replace("-", " ").replace("_", " ").split() if part[0].isalnum()]
    if not parts:
        return "?"
    return (parts[0][0] + (parts[1][0] if len(parts) > 1 else "")).upper()


def hue(name: str) -> int:
    """Return one of twelve tones for a name, always the same."""
    return sum(ord(character) * (place + 7) for place, character in enumerate(name)) % 12
