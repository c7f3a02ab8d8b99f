"""Token replies as vectors, one file per dialect, and the rules that no one provider shows."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from holdfast.http import Reply
from holdfast.oauth2 import Dead, Dialect, TokenGrant, TokenRefusal, parse_token_reply
from holdfast.secret import Secret

NOW = 1_790_000_000.0
VECTORS = Path(__file__).parent.parent / "vectors" / "token_replies"


def vectors() -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.yaml")):
        vector = yaml.safe_load(path.read_text())
        found += [pytest.param(vector, case, id=f"{path.stem}: {case['name']}") for case in vector["cases"]]
    return found


@pytest.mark.parametrize(("vector", "case"), vectors())
def test_a_recorded_reply_is_read_as_its_vector_says(vector: dict[str, Any], case: dict[str, Any]) -> None:
    reply = case["reply"]
    outcome = parse_token_reply(
        msgspec.convert(vector["dialect"], Dialect),
        Reply(reply.get("status", 200), reply.get("headers", {}), reply["body"].encode()),
        now=NOW,
        requested_scopes=case.get("requested", []),
        dead=msgspec.convert(vector.get("dead", []), list[Dead]),
    )
    if "grant" in case:
        assert isinstance(outcome, TokenGrant)
        assert shown(outcome) == NOTHING_GRANTED | case["grant"]
    else:
        assert isinstance(outcome, TokenRefusal)
        expected = {"description": "", "retry_after": None, "status": reply.get("status", 200)} | case["refusal"]
        assert {name: getattr(outcome, name) for name in expected} == expected


NOTHING_GRANTED: dict[str, Any] = {
    "refresh_token": None,
    "token_type": "Bearer",
    "expires_in": None,
    "never_expires": False,
    "refresh_expires_in": None,
    "scopes": None,
    "id_token": None,
    "kept": {},
}


def shown(grant: TokenGrant) -> dict[str, Any]:
    return {
        "access_token": grant.access_token.reveal(),
        "refresh_token": grant.refresh_token and grant.refresh_token.reveal(),
        "token_type": grant.token_type,
        "expires_in": grant.expires_at and grant.expires_at - NOW,
        "never_expires": grant.never_expires,
        "refresh_expires_in": grant.refresh_expires_at and grant.refresh_expires_at - NOW,
        "scopes": None if grant.scopes is None else list(grant.scopes),
        "id_token": grant.id_token and grant.id_token.reveal(),
        "kept": dict(grant.kept),
    }


def read(document: object, dialect: Dialect | None = None, status: int = 200, **more: Any) -> TokenGrant | TokenRefusal:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    more = {"requested_scopes": ()} | more
    return parse_token_reply(dialect or Dialect(), Reply(status, {}, body), now=NOW, **more)


def granted(document: object, dialect: Dialect | None = None, **more: Any) -> TokenGrant:
    outcome = read(document, dialect, **more)
    assert isinstance(outcome, TokenGrant)
    return outcome


def refused(document: object, dialect: Dialect | None = None, status: int = 400, **more: Any) -> TokenRefusal:
    outcome = read(document, dialect, status, **more)
    assert isinstance(outcome, TokenRefusal)
    return outcome


def dialect(**response: Any) -> Dialect:
    return msgspec.convert({"response": response}, Dialect)


def jwt(claims: object) -> str:
    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


@pytest.mark.parametrize("seconds", [3600, "3600", 3600.0, "3600.0"])
def test_a_life_may_be_a_number_or_spell_one(seconds: object) -> None:
    assert granted({"access_token": "t", "expires_in": seconds}).expires_at == NOW + 3600


@pytest.mark.parametrize("seconds", [None, True, "soon", "NaN", "1e999", [], {}])
def test_a_life_that_is_no_number_is_not_known(seconds: object) -> None:
    grant = granted({"access_token": "t", "expires_in": seconds})
    assert (grant.expires_at, grant.never_expires) == (None, False)


def test_a_life_of_zero_is_over_unless_the_provider_means_never() -> None:
    assert granted({"access_token": "t", "expires_in": 0}).expires_at == NOW
    for_ever = granted({"access_token": "t", "expires_in": "0"}, dialect(expires_in_zero="never"))
    assert (for_ever.expires_at, for_ever.never_expires) == (None, True)


def test_an_absurdly_long_life_still_ends_on_a_date_that_calendars_have() -> None:
    assert granted({"access_token": "t", "expires_in": 10**30}).expires_at == NOW + 100 * 365 * 86400


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("unix", 1790003600),
        ("unix", "1790003600"),
        ("unix_ms", 1790003600000),
        ("iso8601", "2026-09-21T15:13:20Z"),
        ("iso8601", "2026-09-21T15:13:20"),
        ("iso8601", "2026-09-21T17:13:20+02:00"),
    ],
)
def test_an_instant_of_expiry_is_read_in_the_form_the_provider_uses(form: str, value: object) -> None:
    grant = granted({"access_token": "t", "until": value}, dialect(expires_at="until", expires_at_format=form))
    assert grant.expires_at == NOW + 3600


def test_the_exp_of_a_jwt_tells_the_expiry_where_nothing_else_does() -> None:
    assert granted({"access_token": jwt({"exp": NOW + 99})}).expires_at == NOW + 99
    assert granted({"access_token": jwt({"exp": NOW + 99}), "expires_in": 5}).expires_at == NOW + 5


@pytest.mark.parametrize("token", ["a.b.c", "a.bm9wZQ.c", jwt([1]), jwt({"exp": "never"}), "x.y"])
def test_a_token_that_only_looks_like_a_jwt_has_no_expiry(token: str) -> None:
    assert granted({"access_token": token}).expires_at is None


@pytest.mark.parametrize("token", [None, "", 7, "two\nlines", "a\r\nX-Evil: 1", " padded", "naïve", ["t"], "\ud800"])
def test_a_2xx_without_a_usable_token_is_malformed(token: object) -> None:
    assert refused({"access_token": token}, status=200).kind == "malformed"


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b'"text"', b"[]", b"{broken", b"\xff\xfe", b"[" * 100_000])
def test_a_2xx_that_cannot_be_read_is_malformed(body: bytes) -> None:
    refusal = refused(body, status=200)
    assert (refusal.kind, refusal.error) == ("malformed", "no_access_token")


def test_json_and_form_are_told_apart_whatever_the_content_type_says() -> None:
    for kind in ("text/html", "text/plain", "application/json", "application/x-www-form-urlencoded", ""):
        for body in (b'{"access_token": "t"}', b"access_token=t&scope=a"):
            outcome = parse_token_reply(
                Dialect(), Reply(200, {"content-type": kind}, body), now=NOW, requested_scopes=()
            )
            assert isinstance(outcome, TokenGrant)


def test_an_xml_reply_is_read_where_the_entry_says_so_and_never_with_entities() -> None:
    xml = dialect(format_default="xml")
    grant = granted(b"<r><access_token>t</access_token><expires_in>60</expires_in></r>", xml)
    assert (grant.access_token.reveal(), grant.expires_at) == ("t", NOW + 60)
    bomb = b'<!DOCTYPE r [<!ENTITY a "aaaa">]><r><access_token>&a;</access_token></r>'
    assert refused(bomb, xml, status=200).kind == "malformed"
    assert refused(b"<r><access_token>t</access_token></r>", status=200).kind == "malformed"


def test_scopes_separated_otherwise_than_asked_are_still_told_apart() -> None:
    asked: dict[str, Any] = {"requested_scopes": ["a", "b"]}
    assert granted({"access_token": "t", "scope": "a,b"}, **asked).scopes == ("a", "b")
    commas = msgspec.convert({"scope_separator": ","}, Dialect)
    assert granted({"access_token": "t", "scope": "a b"}, commas, **asked).scopes == ("a", "b")
    assert granted({"access_token": "t", "scope": "a, b"}, commas, **asked).scopes == ("a", "b")
    one = granted({"access_token": "t", "scope": "a,b"}, requested_scopes=["a,b"])
    assert one.scopes == ("a,b",)


def test_a_scope_asked_for_through_another_parameter_keeps_that_name() -> None:
    optional = msgspec.convert({"extra_scope_params": {"optional_scope": " "}}, Dialect)
    grant = granted(
        {"access_token": "t", "scope": "oauth deals"},
        optional,
        requested_scopes=["oauth", "optional_scope:deals"],
    )
    assert grant.scopes == ("oauth", "deals", "optional_scope:deals")


def test_a_reply_that_names_no_scope_says_as_requested() -> None:
    assert granted({"access_token": "t"}, requested_scopes=["a"]).scopes is None
    assert granted({"access_token": "t", "scope": ""}, requested_scopes=["a"]).scopes == ()


PATTERN = msgspec.convert(
    {"response": {"keep": {"host": "host", "n": "n"}}, "keep_pattern": {"host": r"[a-z]+\.vendor\.example"}},
    Dialect,
)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "a.vendor.example\n",
        "a.vendor.example.evil",
        "x@a.vendor.example",
        "a.vendor.example/..",
    ],
)
def test_a_kept_value_off_its_pattern_is_refused_and_the_tokens_are_salvaged(host: str) -> None:
    refusal = refused({"access_token": "t", "refresh_token": "r", "host": host, "n": 5}, PATTERN, status=200)
    assert (refusal.kind, refusal.error) == ("malformed", "kept_value_refused")
    assert refusal.salvaged is not None
    assert refusal.salvaged.refresh_token == Secret("r")
    assert refusal.salvaged.kept == {"n": "5"}


def test_a_kept_value_with_a_control_character_is_refused_without_any_pattern() -> None:
    keeps = dialect(keep={"site": "site"})
    assert refused({"access_token": "t", "site": "a\r\nb"}, keeps, status=200).error == "kept_value_refused"


def test_the_document_of_a_grant_holds_no_token() -> None:
    grant = granted({"access_token": "tok-1", "refresh_token": "ref-1", "user": {"id": 7, "t": ["tok-1"]}})
    assert grant.document == {
        "access_token": "<sealed>",
        "refresh_token": "<sealed>",
        "user": {"id": 7, "t": ["<sealed>"]},
    }
    assert "tok-1" not in repr(grant)
    assert "ref-1" not in repr(grant)


def test_an_error_beside_a_token_counts_only_where_the_provider_errs_with_200() -> None:
    both = {"access_token": "t", "error": "expired_code"}
    assert isinstance(read(both), TokenGrant)
    assert isinstance(read(both, dialect(errors_with_http_200=True)), TokenRefusal)
    well = {"access_token": "t", "errcode": 0, "code": "anything"}
    assert isinstance(read(well, dialect(errors_with_http_200=True, error="errcode")), TokenGrant)
