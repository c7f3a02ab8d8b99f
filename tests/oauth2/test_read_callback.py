import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from holdfast.errors import Misconfigured
from holdfast.oauth2 import CallbackCode, CallbackDenied, CallbackForged, Dialect, read_callback
from holdfast.secret import Secret

SECRET = Secret("hush-hush")


def read(
    pairs: Any, fields: dict[str, Any] | None = None, **more: Any
) -> CallbackCode | CallbackDenied | CallbackForged:
    given: dict[str, Any] = {"client_secret": SECRET, "values": {}} | more
    return read_callback(msgspec.convert(fields or {}, Dialect), pairs, **given)


def test_a_code_comes_back_sealed() -> None:
    outcome = read([("code", "abc"), ("state", "s")])
    assert outcome == CallbackCode(Secret("abc"), {})
    assert "abc" not in repr(outcome)


def test_the_code_may_have_another_name_and_bring_values_to_keep() -> None:
    fields = {"code_param": "auth_code", "callback_keep": {"realm_id": "realmId", "dc": "accounts-server"}}
    outcome = read({"auth_code": "abc", "realmId": "123", "accounts-server": "eu", "other": "x"}, fields)
    assert outcome == CallbackCode(Secret("abc"), {"realm_id": "123", "dc": "eu"})
    assert isinstance(read({"code": "abc"}, fields), CallbackForged)


@pytest.mark.parametrize("value", ["evil.example", "ok.vendor.example\n", "ok.vendor.example@evil", "a\r\nb"])
def test_a_kept_value_off_its_pattern_makes_the_callback_a_forgery(value: str) -> None:
    fields = {"callback_keep": {"host": "domain"}, "keep_pattern": {"host": r"[a-z]+\.vendor\.example"}}
    assert isinstance(read([("code", "abc"), ("domain", "ok.vendor.example")], fields), CallbackCode)
    assert isinstance(read([("code", "abc"), ("domain", value)], fields), CallbackForged)


@pytest.mark.parametrize("name", ["code", "state", "iss", "unknown"])
def test_a_parameter_that_is_there_twice_makes_the_callback_a_forgery(name: str) -> None:
    outcome = read([("code", "abc"), ("state", "s"), ("iss", "i"), ("unknown", "u"), (name, "again")])
    assert isinstance(outcome, CallbackForged)


@pytest.mark.parametrize("code", ["", "a\nb", "é", "x" * 4097])
def test_what_cannot_be_a_code_is_none(code: str) -> None:
    assert isinstance(read([("code", code)]), CallbackForged)
    assert isinstance(read([]), CallbackForged)


def test_a_denial_is_told_in_words_that_are_safe_to_show() -> None:
    outcome = read([("error", "access_denied"), ("error_description", "no\r\n\u202ethanks"), ("code", "abc")])
    assert outcome == CallbackDenied("access_denied", "no thanks")


ISSUER = "https://honest.example"


@pytest.mark.parametrize(
    ("rule", "iss", "forged"),
    [
        ("absent", None, False),
        ("absent", "https://other.example", False),
        ("checked", None, False),
        ("checked", ISSUER, False),
        ("checked", "https://other.example", True),
        ("required", None, True),
        ("required", ISSUER, False),
        ("required", ISSUER + "/", True),
        ("required", ISSUER.upper(), True),
        ("required", "", True),
    ],
)
@pytest.mark.parametrize("answer", [("code", "abc"), ("error", "access_denied")])
def test_the_issuer_is_checked_for_codes_and_for_errors(
    rule: str, iss: str | None, forged: bool, answer: tuple[str, str]
) -> None:
    pairs = [answer, *([("iss", iss)] if iss is not None else [])]
    outcome = read(pairs, {"iss": rule, "issuer": ISSUER})
    assert isinstance(outcome, CallbackForged) is forged


def test_an_entry_that_checks_iss_must_name_its_issuer() -> None:
    with pytest.raises(Misconfigured):
        read([("code", "abc")], {"iss": "required"})


SIGNED = {"callback_hmac": {"param": "hmac", "match": {"shop": "{shop}.myshopify.com"}}}


def signed(pairs: dict[str, str], secret: str = "hush-hush") -> dict[str, str]:
    message = "&".join(f"{name}={pairs[name]}" for name in sorted(pairs))
    return pairs | {"hmac": hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()}


CALLBACK = {"code": "abc", "shop": "acme.myshopify.com", "state": "s", "timestamp": "1790000000"}


def test_a_signed_callback_of_the_shop_that_was_asked_for_is_taken() -> None:
    assert isinstance(read(signed(CALLBACK), SIGNED, values={"shop": "acme"}), CallbackCode)
    filled = {"callback_hmac": {"param": "hmac", "match": {"shop": "acme.myshopify.com"}}}
    assert isinstance(read(signed(CALLBACK), filled), CallbackCode)


@pytest.mark.parametrize(
    ("pairs", "values"),
    [
        (CALLBACK, {"shop": "acme"}),
        (CALLBACK | {"hmac": ""}, {"shop": "acme"}),
        (CALLBACK | {"hmac": "é"}, {"shop": "acme"}),
        (signed(CALLBACK, "another-secret"), {"shop": "acme"}),
        (signed(CALLBACK) | {"code": "swapped"}, {"shop": "acme"}),
        (signed(CALLBACK) | {"added": "later"}, {"shop": "acme"}),
        (signed(CALLBACK), {"shop": "other"}),
        (signed(CALLBACK), {}),
    ],
)
def test_a_callback_that_is_not_signed_for_this_shop_is_a_forgery(
    pairs: dict[str, str], values: dict[str, str]
) -> None:
    assert isinstance(read(pairs, SIGNED, values=values), CallbackForged)


def test_a_signature_cannot_be_checked_without_the_secret() -> None:
    assert isinstance(read(signed(CALLBACK), SIGNED, values={"shop": "acme"}, client_secret=None), CallbackForged)
