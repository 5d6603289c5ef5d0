"""What of arguments and results does not go into the record (RECORD contract, "Redaction")."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from shim import jsontext
from shim.errors import InvalidText
from shim.model import Json, JsonObject
from shim.record.known import REDACTED, without_credentials
from shim.record.marked import Marks, Schemas

_NAMES = ("password", "passwd", "token", "secret", "authorization", "apikey", "cookie", "privatekey", "credential")
_ENDINGS = (*_NAMES, "passwords", "secrets", "apikeys", "cookies", "privatekeys", "credentials")
_KEPT = 1024
_LONGEST_REMEMBERED = 64
_TEXTS_IN_TEXTS = 3
_DEEPEST = 90
"""Below this many levels a text is not read as JSON: each level of it costs the walk three frames of the stack."""


def names_secret(name: str) -> bool:
    """Whether a member with this name is secret: one of the names, or a longer one whose last words are one of them.

    Case, `-` and `_` apart; so `access_token`, `clientSecret` and `X-API-Key` are, `max_tokens` and `tokenize` are not.
    """
    # What is remembered is bounded in size as well as in number.
    return _is_secret(name) if len(name) > _LONGEST_REMEMBERED else _remembered(name)


def _is_secret(name: str) -> bool:
    return _plain(name).endswith(_ENDINGS)


_remembered = lru_cache(maxsize=4096)(_is_secret)


def _plain(text: str) -> str:
    return text.casefold().replace("-", "").replace("_", "")


def _may_name_secret(text: str) -> bool:
    # For a JSON text as it stands, before it is read: a name may have escapes in it.
    plain = _plain(text)
    return "\\u" in plain or any(name in plain for name in _NAMES)


class Redactor:
    """Redacts values. Remembers the schemas it was last given, because one serves many calls."""

    def __init__(self) -> None:
        self._marks: OrderedDict[int, Marks] = OrderedDict()

    def redact(self, value: Json, schema: JsonObject | None = None) -> tuple[Json, int]:
        """The value without what is secret, and how many places were replaced. The value itself is not changed."""
        marks = self._prepared(schema) if schema is not None else None
        walk = _Walk(marks)
        redacted = walk.value(value, marks.root() if marks is not None else (), _Where())
        return redacted, walk.count

    def _prepared(self, schema: JsonObject) -> Marks | None:
        marks = self._marks.get(id(schema))
        if marks is None:
            # Holds the schema itself, so that its id cannot become another's meanwhile.
            marks = self._marks[id(schema)] = Marks(schema)
            if len(self._marks) > _KEPT:
                self._marks.popitem(last=False)
        return marks if marks.any else None


@dataclass(frozen=True, slots=True)
class _Where:
    """How many levels down, and in how many texts within texts."""

    level: int = 0
    texts: int = 0

    def below(self) -> _Where:
        return _Where(self.level + 1, self.texts)

    def inside(self) -> _Where:
        return _Where(self.level, self.texts + 1)


class _Walk:
    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self.count = 0

    def value(self, value: Json, schemas: Schemas, where: _Where) -> Json:
        marks = self._marks
        if schemas and marks is not None and marks.marked(schemas) and value is not None:
            self.count += 1
            return REDACTED
        if isinstance(value, str):
            return self._text(value, where)
        if isinstance(value, dict):
            below = where.below()
            return {key: self._member(key, member, schemas, below) for key, member in value.items()}
        if isinstance(value, list):
            below = where.below()
            if not schemas or marks is None:
                return [self.value(item, (), below) for item in value]
            return [self.value(item, marks.item(schemas, index), below) for index, item in enumerate(value)]
        return value

    def _member(self, key: str, member: Json, schemas: Schemas, where: _Where) -> Json:
        if member is not None and names_secret(key):
            self.count += 1
            return REDACTED
        marks = self._marks
        return self.value(member, marks.member(schemas, key) if schemas and marks is not None else (), where)

    def _text(self, text: str, where: _Where) -> str:
        if len(text) < 8:
            return text
        if where.texts < _TEXTS_IN_TEXTS and text[0] in "{[ \n\t\r" and _may_name_secret(text):
            if where.level > _DEEPEST:
                self.count += 1
                return REDACTED
            # Results often carry one object twice, once as text: what is hidden here must not stand there.
            try:
                parsed = jsontext.parse(text.encode("utf-8"))
            except (InvalidText, UnicodeEncodeError):
                parsed = None
            if isinstance(parsed, dict | list):
                before = self.count
                redacted = self.value(parsed, (), where.inside())
                return jsontext.dump(redacted).decode("utf-8") if self.count != before else text
        text, count = without_credentials(text)
        self.count += count
        return text
