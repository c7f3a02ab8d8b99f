"""The address of a defined provider's API and the hosts its credential may go to, as a definition says them.

Whoever gives a value for a placeholder of a host decides where the credential goes. So such a value is one label
(`acme`) where anything literal stands behind it, and a host name only where it ends the host; and the host that comes
out is one of `allowed_proxy_domains` wherever the definition has some. These may be plain (`api.acme.com`), take one
label of any name (`*.acme.com`), or the account's own (`{{subdomain}}.acme.com`).
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from holdfast.api.scalekit.fault_fields import bad
from holdfast.providers.entry import ConfigField
from holdfast.providers.templates import HOST_NAME, LABEL, PROTOCOL_NAMES, placeholders

MOST_HOSTS = 50
_DOUBLE = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_PIECE = r"(?:[a-z0-9-]|\{[a-z][a-z0-9_]*\})+"
_HOST = re.compile(rf"(?:(?:\*|{_PIECE})\.)?(?:{_PIECE}\.)*[a-z0-9-]+\.[a-z0-9-]+")
"""What an account may fill in stands left of two literal labels: `{{x}}.com` would be every company's host."""
_AT = "provider.auth_patterns[0].allowed_proxy_domains"
_URL = "provider.proxy_url"


def base_url_in(proxy_url: str, hosts: tuple[str, ...], config: dict[str, ConfigField]) -> str:
    """Return the URL with our placeholders. Puts those that it and `hosts` have into `config`, with the pattern that
    keeps their values harmless there. Raises Unprocessable."""
    url = _DOUBLE.sub(lambda found: "{" + found[1] + "}", proxy_url).rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise bad(_URL, "is not a URL", "pattern") from None
    unfit = parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.query or parts.fragment
    if unfit or "\\" in url or any(ord(letter) <= 32 for letter in url):
        raise bad(_URL, "takes an https URL without user name, query and fragment", "pattern")
    if re.search(r"[{}]", re.sub(r"\{[a-z][a-z0-9_]*\}", "", url)):
        raise bad(_URL, "a placeholder is written {{name}}, in lower-case letters, digits and '_'", "pattern")
    host = parts.hostname or ""
    for name in sorted(placeholders(url)):
        if name in PROTOCOL_NAMES:
            raise bad(_URL, f"'{name}' is the credential's own name", "in")
        config[name] = _bounded(config.get(name, ConfigField(label=name)), _pattern(host, name, hosts), required=True)
    for name in sorted(set().union(*map(placeholders, hosts)) - placeholders(url)):
        if name in PROTOCOL_NAMES:
            raise bad(_AT, f"'{name}' is the credential's own name", "in")
        config[name] = _bounded(config.get(name, ConfigField(label=name)), LABEL)
    return url


def hosts_in(pattern: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts that a pattern allows, with our placeholders. Raises Unprocessable."""
    found = pattern.get("allowed_proxy_domains") or []
    if not isinstance(found, list) or len(found) > MOST_HOSTS or not all(isinstance(one, str) for one in found):
        raise bad(_AT, f"is a list of {MOST_HOSTS} host names at most", "pattern")
    hosts = tuple(_DOUBLE.sub(lambda name: "{" + name[1] + "}", one) for one in found)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise bad(
                _AT,
                "takes lower-case host names: plain, with '*.' in front, or with placeholders left of two plain labels",
                "pattern",
            )
    return hosts


def _pattern(host: str, name: str, hosts: tuple[str, ...]) -> str | None:
    """Return what a value must match to stand for `name` in `host`; None where it is part of the path alone."""
    if "{" + name + "}" not in host:
        return LABEL if any("{" + name + "}" in one for one in hosts) else None
    if host == "{" + name + "}" and hosts:
        return "|".join(_alternative(one) for one in hosts)
    ends_it = host.endswith("{" + name + "}") and host.count("{" + name + "}") == 1
    return HOST_NAME if ends_it else LABEL


def _alternative(host: str) -> str:
    pieces = re.split(r"(\*|\{[a-z][a-z0-9_]*\})", host)
    return "".join(LABEL if piece[:1] in ("*", "{") else re.escape(piece) for piece in pieces)


def _bounded(declared: ConfigField, pattern: str | None, *, required: bool = False) -> ConfigField:
    return ConfigField(
        label=declared.label,
        description=declared.description,
        required=required or declared.required,
        enum=declared.enum,
        pattern=pattern,
    )
