"""A provider's API as calls reach it: the hosts its credential may go to, and where in a request it goes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote_plus, urlencode, urlsplit

import msgspec

from holdfast.errors import Invalid, Unprocessable
from holdfast.outbound import Blocked, Target, target_of
from holdfast.providers.calls import place
from holdfast.providers.entry import Api, Placement, Provider
from holdfast.providers.templates import PROTOCOL_NAMES, Settled, fill, fill_url, placeholders, settle
from holdfast.proxy.address import BadAddress, check_path, check_query, joined
from holdfast.proxy.errors import NotProxied
from holdfast.secret import Secret

_VISIBLE = re.compile(r"[\x20-\x7e]+")


class HostNotAllowed(Invalid):
    default_code = "host_not_allowed"


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where calls go, and what goes with each. Made of one provider's facts and one account's values."""

    provider: Provider
    api: Api
    values: Settled
    base: Target | None
    """None where the API's address needs the credential itself, or a value that is not there."""
    base_path: str
    targets: frozenset[tuple[str, str, int]]
    wild: frozenset[tuple[str, str, int]]
    """Scheme, what stands behind one label of any name (`.acme.com`), port."""
    defaults: tuple[tuple[bytes, bytes], ...]
    """Headers that the caller may say otherwise, and those it may not (`fixed`): they name whose data it is."""
    fixed: tuple[tuple[bytes, bytes], ...]
    bearer: bool
    looks_inside: bool
    taken: frozenset[str] = field(default=frozenset())
    """Query members that carry the credential: the caller's own are refused."""

    def leads_to(self, target: Target) -> bool:
        """Tell whether the credential may go to that scheme, host and port."""
        return _is_among(target, self.targets, self.wild)


class Destination(msgspec.Struct, frozen=True):
    """A checked address: `path` is without query and without the credential."""

    target: Target
    path: str
    query: str


def is_plain(provider: Provider) -> bool:
    """Tell whether an outlet to this provider is the same for every account."""
    api = provider.api
    if api is None or api.also or api.credential.where == "path":
        return False
    texts = [api.base_url, *api.hosts, *api.headers.values(), *_texts(api.credential)]
    return not set().union(*map(placeholders, texts)) - PROTOCOL_NAMES and not provider.config


def outlet_of(provider: Provider, given: Mapping[str, str], *, allow_private: bool, looks_inside: bool) -> Outlet:
    """Return the outlet, its templates filled with the account's values.

    Raises NotProxied if nothing is known of the API, Invalid for a value that may not decide where a credential goes.
    """
    api = provider.api
    if api is None:
        raise NotProxied(f"the proxy is not enabled for provider '{provider.slug}': its API's address is not known")
    values = settle(provider, given)
    by_path = api.credential.where == "path"
    base, base_path = None, ""
    if not by_path:
        try:
            base, base_path = _origin(fill_url(api.base_url, values), allow_private)
        except Invalid as error:
            if error.code != "missing_config":
                raise
    targets = {_key(base)} if base is not None else set()
    for url in (api.base_url, *api.regions.values(), *([api.sandbox] if api.sandbox else ())):
        try:
            bare = _bare(url)
            targets.add(_key(_origin(fill_url(bare, values), allow_private)[0]))
        except Invalid:
            continue
    scheme = base.scheme if base is not None else "https"
    plain, wild = _hosts(api, values, scheme, allow_private)
    targets |= plain
    if base is not None and api.hosts and provider.custom and "{" in _authority(api.base_url):
        _check_bounds(provider, base, plain, wild)
    placed = (api.credential, *api.also)
    return Outlet(
        provider=provider,
        api=api,
        values=values,
        base=base,
        base_path=base_path,
        targets=frozenset(targets),
        wild=wild,
        defaults=tuple(_headers(api, values, templated=False)),
        fixed=tuple(_headers(api, values, templated=True)),
        bearer=placed == (Placement(),),
        looks_inside=looks_inside,
        taken=frozenset(one.name or "" for one in placed if one.where == "query"),
    )


def destination(outlet: Outlet, path: str, query: str) -> Destination:
    """Return where `path` beneath the API's address is. Raises BadAddress."""
    check_path(path, encoded_slash=outlet.api.encoded_slash)
    if query:
        _check_query(outlet, query)
    if outlet.base is None:
        if outlet.api.credential.where != "path":
            _ = fill_url(outlet.api.base_url, outlet.values)  # raises, naming what is missing
        target, base_path = _path_base(outlet, "")
        return Destination(target, joined(base_path, path), query)
    return Destination(outlet.base, joined(outlet.base_path, path), query)


def destination_of(outlet: Outlet, url: str, *, allow_private: bool) -> Destination:
    """Return where an absolute address is, if it is one of this provider's. Raises BadAddress, HostNotAllowed."""
    try:
        target = target_of(url, allow_private=allow_private)
    except Blocked as error:
        raise BadAddress(error.message, code="invalid_url") from None
    if not outlet.leads_to(target):
        raise HostNotAllowed(f"{target.host} is not a host of provider '{outlet.provider.slug}'")
    rest = url.split("://", 1)[1]
    if "#" in rest:
        raise BadAddress("the address holds a fragment", code="invalid_url")
    at = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
    path, _, query = rest[at:].partition("?")
    path = path or "/"
    check_path(path, encoded_slash=outlet.api.encoded_slash)
    _check_query(outlet, query)
    return Destination(target, path, query)


def carried(outlet: Outlet, there: Destination, headers: dict[bytes, bytes], secret: Secret | None) -> bytes:
    """Put the credential, if there is one, into the headers, and return the request's path with what goes there. Raises
    Unprocessable."""
    if secret is not None and not _VISIBLE.fullmatch(secret.reveal()):
        raise Unprocessable(
            "the stored credential holds characters that no header may carry", code="invalid_credential"
        )
    for name, value in outlet.defaults:
        headers.setdefault(name, value)
    headers.update(outlet.fixed)
    path, query = there.path, there.query
    if secret is None:
        return f"{path}?{query}".encode() if query else path.encode()
    if outlet.bearer:
        headers[b"authorization"] = b"Bearer " + secret.reveal().encode()
    else:
        for placement in (outlet.api.credential, *outlet.api.also):
            named, members = place(placement, secret, outlet.values)
            headers.update((name.lower().encode(), value.encode()) for name, value in named.items())
            if members:
                query = "&".join(filter(None, (query, urlencode(members))))
        if outlet.api.credential.where == "path":
            path = _path_base(outlet, secret.reveal())[1] + path.removeprefix(_path_base(outlet, "")[1])
    return f"{path}?{query}".encode() if query else path.encode()


_Keys = frozenset[tuple[str, str, int]]


def _hosts(api: Api, values: Settled, scheme: str, allow_private: bool) -> tuple[_Keys, _Keys]:
    """Return the hosts named beside the API's own, and those with `*.` in front.

    One that needs a value this account does not have is left out, and no more than that: the others are as good as
    before.
    """
    plain, wild = set(), set()
    for host in api.hosts:
        is_wild = host.startswith("*.")
        try:
            url = fill_url(f"{scheme}://{host.removeprefix('*.')}", values)
            found = _key(target_of(url, allow_private=allow_private))
        except Invalid as error:
            if error.code != "missing_config":
                raise
            continue
        if is_wild:
            wild.add((found[0], "." + found[1], found[2]))
        else:
            plain.add(found)
    return frozenset(plain), frozenset(wild)


def _check_bounds(provider: Provider, base: Target, plain: _Keys, wild: _Keys) -> None:
    """Raise HostNotAllowed where an account's values made an address that the definition does not name."""
    # The definition names hosts, not ports: the port is its own.
    named = replace(base, port=_DEFAULT_PORTS[base.scheme])
    if not _is_among(named, plain, wild) and not _is_among(base, plain, wild):
        raise HostNotAllowed(f"{base.host} is not a host of provider '{provider.slug}': see its allowed_proxy_domains")


def _is_among(target: Target, plain: _Keys, wild: _Keys) -> bool:
    if _key(target) in plain:
        return True
    label, dot, rest = target.host.partition(".")
    return bool(wild and label and dot and (target.scheme, "." + rest, target.port) in wild)


_DEFAULT_PORTS = {"https": 443, "http": 80}


def _bare(url: str) -> str:
    return re.sub(r"^(https?://[^/]+).*", r"\1", url)


def _authority(url: str) -> str:
    return _bare(url).partition("://")[2]


def _path_base(outlet: Outlet, token: str) -> tuple[Target, str]:
    url = fill_url(outlet.api.base_url.replace("{token}", quote(token, safe=":")), outlet.values)
    return _origin(url, allow_private=True)


def _check_query(outlet: Outlet, query: str) -> None:
    check_query(query)
    if outlet.taken:
        for member in query.split("&"):
            if unquote_plus(member.split("=", 1)[0]) in outlet.taken:
                raise BadAddress("the query holds the member that carries the credential", code="invalid_query")


def _headers(api: Api, values: Settled, *, templated: bool) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode(), fill(text, values).encode())
        for name, text in api.headers.items()
        if bool(placeholders(text)) is templated
    ]


def _texts(placement: Placement) -> list[str]:
    return [placement.value, placement.username or "", placement.password or ""]


def _origin(url: str, allow_private: bool) -> tuple[Target, str]:
    return target_of(url, allow_private=allow_private), urlsplit(url).path.rstrip("/")


def _key(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port
