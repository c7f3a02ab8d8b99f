"""The forms of an HTML page, and what pressing one of their buttons sends."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser

_REFUSING = re.compile(r"\b(deny|denied|cancel|refuse|reject|decline|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Button:
    name: str
    value: str
    text: str = ""

    @property
    def refuses(self) -> bool:
        return bool(_REFUSING.search(f"{self.value} {self.text}"))


@dataclass(frozen=True)
class Field:
    """An input. `ticked` is false for an empty checkbox or radio button, which is not sent; `label` is beside it."""

    name: str
    value: str
    kind: str = "text"
    ticked: bool = True
    label: str = ""

    def is_choice_of(self, who: str | None) -> bool:
        return self.kind == "radio" and who is not None and (who == self.value or who in self.label)


@dataclass(frozen=True)
class Form:
    """A form: what it would send, its buttons, and the words a user reads in it."""

    action: str
    method: str
    fields: tuple[Field, ...]
    buttons: tuple[Button, ...]
    text: str

    def names(self, who: str) -> bool:
        """Tell whether `who` is written in this form, or sent by it."""
        return who in self.text or any(who == item.value for item in self.fields)

    def sends(
        self, *, deny: bool = False, choose: str | None = None, untick: Collection[str] = ()
    ) -> list[tuple[str, str]]:
        """Return what pressing the affirmative button sends, or the refusing one if `deny`.

        `choose` picks the radio button of that value or label; checkboxes whose value is in `untick` are left out.
        """
        decided = {item.name for item in self.fields if item.is_choice_of(choose)}
        sent = [
            (item.name, item.value)
            for item in self.fields
            if (item.is_choice_of(choose) if item.kind == "radio" and item.name in decided else item.ticked)
            and not (item.kind == "checkbox" and item.value in untick)
        ]
        pressed = next((button for button in self.buttons if button.refuses == deny), None)
        return [*sent, (pressed.name, pressed.value)] if pressed is not None and pressed.name else sent


def forms(page: str) -> tuple[Form, ...]:
    """Return the forms of a page, in order."""
    parser = _Parser()
    parser.feed(page)
    return tuple(parser.found)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._form: tuple[str, str] | None = None
        self._fields: list[Field] = []
        self._buttons: list[Button] = []
        self._words: list[str] = []
        self._button_from: int | None = None
        self._label_from: tuple[int, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value if value is not None else "" for name, value in attrs}
        if tag == "form":
            self._form = (at.get("action", ""), at.get("method", "get").lower())
            self._fields, self._buttons, self._words = [], [], []
        elif self._form is None or "disabled" in at:
            return
        elif tag == "label":
            self._label_from = (len(self._fields), len(self._words))
        elif tag == "button" and at.get("type", "submit") == "submit":
            self._buttons.append(Button(at.get("name", ""), at.get("value", "")))
            self._button_from = len(self._words)
        elif tag == "input":
            self._input(at)

    def _input(self, at: Mapping[str, str]) -> None:
        kind, name, value = at.get("type", "text"), at.get("name", ""), at.get("value", "")
        if kind in ("submit", "image"):
            self._buttons.append(Button(name, value, value))
        elif name:
            box = kind in ("checkbox", "radio")
            value = "on" if box and "value" not in at else value
            self._fields.append(Field(name, value, kind, ticked=not box or "checked" in at))

    def handle_data(self, data: str) -> None:
        if self._form is not None and data.strip():
            self._words.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        if self._form is None:
            return
        if tag == "button" and self._button_from is not None:
            self._buttons[-1] = replace(self._buttons[-1], text=" ".join(self._words[self._button_from :]))
            self._button_from = None
        elif tag == "label" and self._label_from is not None:
            first, word = self._label_from
            label = " ".join(self._words[word:])
            self._fields[first:] = [replace(item, label=label) for item in self._fields[first:]]
            self._label_from = None
        elif tag == "form":
            action, method = self._form
            found = Form(action, method, tuple(self._fields), tuple(self._buttons), " ".join(self._words))
            self.found.append(found)
            self._form = None
