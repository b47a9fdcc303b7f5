"""Real statements to load with: those of the demo, each time with an id of its own."""

import gzip
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.demo.run import DATA

_MOODLE = "http://moodle.localhost:8099"
_ID, _PERSON, _REGISTRATION = "cut-here-1", "cut-here-2", "cut-here-3"
PER_PERSON = 500
PER_REGISTRATION = 50


def as_sent() -> list[bytes]:
    """Give the demo's statements as Moodle sent them, which is without ids, but for the opening brace."""
    with gzip.open(DATA / "moodle-statements.jsonl.gz") as lines:
        return [line.strip()[1:] for line in lines]


def with_id(rest: bytes) -> bytes:
    """Make a statement of one of `as_sent`."""
    return b'{"id":"%b",%b' % (str(uuid.uuid4()).encode(), rest)


@dataclass(frozen=True)
class Population:
    """Statements of as many people as `size` statements are likely to be of, each about its own registrations.

    The demo's 24 people would have thousands of statements each, which no learner has.
    """

    size: int

    @property
    def people(self) -> int:
        return max(self.size // PER_PERSON, 24)

    @property
    def registrations(self) -> int:
        return max(self.size // PER_REGISTRATION, 24)

    def statements(self, count: int, *, seed: int) -> Iterator[bytes]:
        """Give so many, the same for the same seed but for their ids."""
        pick = random.Random(seed)  # noqa: S311 - nothing here is a secret
        cut = [_cut(statement) for statement in _demo()]
        for _ in range(count):
            values = {
                _ID: str(uuid.uuid4()),
                _PERSON: str(pick.randrange(self.people)),
                _REGISTRATION: registration(pick.randrange(self.registrations)),
            }
            yield "".join(values.get(part, part) for part in pick.choice(cut)).encode()


def registration(number: int) -> str:
    """Give a registration of a population by its number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def agent(number: int) -> str:
    """Give a person of a population by number, as the query parameter has it."""
    return json.dumps({"account": {"homePage": _MOODLE, "name": str(number)}}, separators=(",", ":"))


def verbs() -> list[str]:
    """Give the verbs, each as often as it comes."""
    return [statement["verb"]["id"] for statement in _demo()]


def activities() -> list[str]:
    """Give the activities that are objects, each as often as it comes."""
    return [statement["object"]["id"] for statement in _demo()]


def _demo() -> list[dict[str, Any]]:
    return [json.loads(b"{" + rest) for rest in as_sent()]


def _cut(statement: dict[str, Any]) -> list[str]:
    """Write a statement and cut it where its id, its actor's account and its registration go."""
    marked = {"id": _ID} | statement
    marked["actor"] = {**statement["actor"], "account": {"homePage": _MOODLE, "name": _PERSON}}
    marked["context"] = {**statement["context"], "registration": _REGISTRATION}
    parts = [json.dumps(marked, separators=(",", ":"), ensure_ascii=False)]
    for mark in (_ID, _PERSON, _REGISTRATION):
        parts = [piece for part in parts for piece in _around(part, mark)]
    return parts


def _around(text: str, mark: str) -> list[str]:
    before, found, after = text.partition(mark)
    return [before, found, after] if found else [text]
