"""By what a person is known, in plain words: what an erasure looks for, and what it keeps hashes of.

- A *word* tells of one person alone wherever it stands: a mail address, its hash, an account name like `anna.archer` or
  `E-770431`. A short one (`ann`, `17`) is *weak*: it names the person only as a whole value within their own records.
- A *name* counts only where it has two words or more, and where nobody else here is called the same.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.mapping.aliases import without_mailto
from lrs import erasing

_SEPARATED = re.compile(r"[^\W_][._@\\-]+[^\W_]")
_LEAST_OF_WORD, _LEAST_OF_NAME = 6, 5
"""Characters: what is shorter stands in texts about other people too."""
_BETWEEN_NAMES = "[^[:alnum:]]{1,6}"


@dataclass(frozen=True)
class Traces:
    """What a person is known by."""

    learners: tuple[int, ...]
    keys: tuple[str, ...]
    """Of learners: those that merges left too."""
    aliases: tuple[str, ...]
    names: tuple[str, ...]
    shared: tuple[str, ...] = ()
    """Words, folded, that others are known by too."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "Traces":
        """Read what `told` gives."""
        return cls(**{name: tuple(data[name]) for name in ("learners", "keys", "aliases", "names", "shared")})

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "learners": list(self.learners),
            "keys": list(self.keys),
            "aliases": list(self.aliases),
            "names": list(self.names),
            "shared": list(self.shared),
        }

    @property
    def agents(self) -> set[str]:
        """Give the canonical texts of xAPI agents."""
        kinds = ("account:", "mbox:", "mbox_sha1sum:", "openid:")
        found = {one for one in (*self.aliases, *self.keys) if one.startswith(kinds)}
        return {spelling for one in found for spelling in erasing.spellings(one)}

    @property
    def words(self) -> set[str]:
        """Give the words that tell of this person alone, folded."""
        return {erasing.fold(one) for one in self._written() if is_telling(one)} - set(self.shared)

    @property
    def weak(self) -> set[str]:
        """Give (source, value) as `source|value` where only one source calls the person so, else `|value`."""
        found = set()
        for one in (*self.aliases, *self.keys):
            kind, _, rest = one.partition(":")
            if kind == "user":
                found.add(rest)
            elif kind == "account":
                found.add("|" + rest.rpartition("|")[2])
            elif kind == "employee":
                found.add(f"|{rest}")
            elif kind not in ("mbox", "mbox_sha1sum", "openid"):
                found.add(f"|{one}")
        return found

    @property
    def name_keys(self) -> set[str]:
        """Give the names as they are compared."""
        keys = {erasing.name_key(one) for one in self.names}
        return {one for one in keys if " " in one and len(one) >= _LEAST_OF_NAME}

    def hashed_by_lrs(self) -> set[tuple[str, str]]:
        """Give (kind, text) of what the LRS keeps out."""
        return {
            *(("agent", one) for one in self.agents),
            *(("word", one) for one in self.words),
            *(("name", one) for one in self.name_keys),
        }

    def hashed_here(self) -> set[tuple[str, str]]:
        """Give (kind, text) of what is kept out here."""
        return {
            *(("alias", one) for one in self.aliases),
            *(("alias", one) for one in self.agents),
            *(("learner", one) for one in self.keys),
            *(("weak", one) for one in self.weak),
        }

    def pattern(self, *, of_bytes: bool = False) -> str | None:
        """Give a regular expression of PostgreSQL that finds words and names, and more; None: there is none to find.

        `of_bytes`: for bytes as `encode(..., 'escape')` writes them.
        """
        found = [_expression(one, of_bytes) for one in sorted(self.words)]
        for name in self.names:
            if " " in (key := erasing.name_key(name)) and key in self.name_keys:
                parts = re.findall(r"[^\W\d_]+", name)
                orders = (parts, parts[::-1], [*parts[-1:], *parts[:-1]])
                found += [_BETWEEN_NAMES.join(_expression(one, of_bytes) for one in order) for order in orders]
        return "|".join(dict.fromkeys(found)) or None

    def _written(self) -> Iterator[str]:
        for one in (*self.aliases, *self.keys):
            kind, _, rest = one.partition(":")
            if kind == "mbox":
                address = without_mailto(rest)
                yield from (address, _sha1(address), _sha1(address.lower()))
            elif kind in ("mbox_sha1sum", "openid", "employee"):
                yield rest
            elif kind in ("account", "user"):
                yield rest.rpartition("|")[2]
            else:
                yield one


def is_telling(word: str) -> bool:
    """Tell whether a word names one person wherever it stands, if nobody else is called so."""
    if "@" in without_mailto(word) and "." in word:
        return True
    mixed = any(one.isdigit() for one in word) and any(one.isalpha() for one in word)
    return len(word) >= _LEAST_OF_WORD and (mixed or bool(_SEPARATED.search(word)))


def _sha1(address: str) -> str:
    return hashlib.sha1(f"mailto:{address}".encode(), usedforsecurity=False).hexdigest()


def _expression(word: str, of_bytes: bool) -> str:  # noqa: FBT001  private, and named where it is called from outside
    return "".join(_character(one, of_bytes) for one in word)


def _character(one: str, of_bytes: bool) -> str:  # noqa: FBT001  as above
    if one == "@":
        return "(?:@|%40)"
    if one == "/":
        return r"(?:\\)*/"
    if one.isascii():
        return one if one.isalnum() else f"\\{one}" if not one.isspace() else r"\s"
    spellings = [rf"\\+u{ord(case):04x}" for case in _cases(one)] + [
        "".join(f"%{byte:02x}" for byte in case.encode()) for case in _cases(one)
    ]
    plain = ["".join(rf"\\{byte:03o}" for byte in case.encode()) if of_bytes else case for case in _cases(one)]
    return f"(?:{'|'.join((*plain, *spellings))})"


def _cases(one: str) -> Iterable[str]:
    return dict.fromkeys(case for case in (one, one.lower(), one.upper()) if len(case) == 1)
