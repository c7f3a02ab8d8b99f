"""What went wrong, in the reader's language: whole pages by an error's code, fields by a fault's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from holdfast.authorization.callback import NOT_COMPLETED
from holdfast.authorization.start import CHANGED_MIND
from holdfast.connect.looks import Look
from holdfast.connect.words import Words
from holdfast.providers.forms import FormField

_DETAILED = frozenset(
    {
        "access_denied",
        "account_mismatch",
        "authorization_code_exchange_error",
        "invalid_client_id",
        "provider_error",
        "unexpected_response_format",
        "user_verify_url_missing",
    }
)
"""Codes whose message says more than the catalogue can: a provider's own words, which account it was, what a developer
looks for."""
_NOT_THE_PROVIDERS = ("account_mismatch", "user_verify_url_missing")
_OURS = (CHANGED_MIND, NOT_COMPLETED)
_WRONG = {"missing_config": "required", "invalid_config": "invalid"}


def problem_facts(look: Look, code: str, message: str) -> dict[str, Any]:
    """Return what the failure page says. A code without words of its own is told by its message, in English."""
    known = look.words.has(f"failure.{code}")
    denied = code == "access_denied"
    from_provider = known and code not in _NOT_THE_PROVIDERS
    details = message if message and message not in _OURS and (code in _DETAILED or not known) else ""
    return {
        "title": look.words("failed.denied_title" if denied else "failed.title"),
        "message": look.words(f"failure.{code}", app=look.app) if known else "",
        "details": details if from_provider else _sentence(details),
        "from_provider": from_provider,
        "code": code,
        "denied": denied,
    }


def _sentence(words: str) -> str:
    """Return a message of ours as a person reads it: it begins large and ends with a full stop. One that begins with
    the name of a field is for developers, who look for it as it is."""
    if "_" in words.partition(" ")[0]:
        return words
    return words[:1].upper() + words[1:] + ("" if not words or words[-1] in ".!?" else ".")


def field_faults(
    words: Words, provider: str, fields: Sequence[FormField], faults: Iterable[Mapping[str, str]]
) -> dict[str, Markup | str]:
    """Return what to say beside each field, "" being the form as a whole. Unknown faults keep their own message."""
    by_name = {item.name: item for item in fields}
    told: dict[str, Markup | str] = {}
    for fault in faults:
        name = fault.get("field", "")
        code = _WRONG.get(fault.get("code", ""), fault.get("code", ""))
        item = by_name.get(name)
        if code == "invalid" and item is not None and item.options:
            code = "choose"
        if words.has(f"wrong.{code}") and (item is not None or code in ("refused", "away")):
            label = label_of(words, item) if item is not None else ""
            told[name] = words(f"wrong.{code}", provider=provider, label=label)
        else:
            told[name] = fault.get("message", "")
    return told


def form_fields(
    words: Words, fields: Sequence[FormField], typed: Mapping[str, str], wrong: Mapping[str, object]
) -> list[dict[str, Any]]:
    """Return the fields as the form shows them: what was typed is kept, a secret is typed again."""
    return [
        {
            "field": item,
            "label": label_of(words, item),
            "translated": _is_ours(item),
            "value": "" if item.secret else typed.get(item.name, ""),
            "wrong": wrong.get(item.name),
        }
        for item in fields
    ]


_STANDARD = {"api_key": "API key", "client_id": "Client ID", "client_secret": "Client secret"}


def label_of(words: Words, item: FormField) -> str:
    """Return a field's label: the entry's own, in the entry's language, or ours where the entry has the usual one."""
    return words.texts[f"form.{item.name}"] if _is_ours(item) else item.label


def _is_ours(item: FormField) -> bool:
    return _STANDARD.get(item.name) == item.label
