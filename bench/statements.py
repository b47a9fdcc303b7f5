"""Real statements to load with: those of the demo, each time with an id of its own."""

import gzip
import json
import uuid
from dataclasses import dataclass
from typing import Any

from bridge.demo.run import DATA

_MOODLE = "http://moodle.localhost:8099"
PERSON_MARK, REGISTRATION_MARK = "person-goes-here", "ffffffff-ffff-4fff-8fff-ffffffffffff"
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


def marked() -> list[bytes]:
    """Give the demo's statements, with marks for who did it and in which registration, and ids."""
    return [json.dumps(_marked(statement), separators=(",", ":"), ensure_ascii=False).encode() for statement in _demo()]


def registration(number: int) -> str:
    """Give a registration of a population by its number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def agent(number: int) -> str:
    """Give a person of a population by number, as the query parameter has it."""
    return json.dumps({"account": {"homePage": _MOODLE, "name": str(number)}}, separators=(",", ":"))


def agent_text(number: int | str) -> str:
    """Give the same person as the LRS's table of terms has it (`lrs.xapi.terms.agent_key`)."""
    return f"account:{_MOODLE}|{number}"


def verbs() -> list[str]:
    """Give the verbs, each as often as it comes."""
    return [statement["verb"]["id"] for statement in _demo()]


def activities() -> list[str]:
    """Give the activities that are objects, each as often as it comes."""
    return [statement["object"]["id"] for statement in _demo()]


def _demo() -> list[dict[str, Any]]:
    return [json.loads(b"{" + rest) for rest in as_sent()]


def _marked(statement: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        **statement,
        "actor": {**statement["actor"], "account": {"homePage": _MOODLE, "name": PERSON_MARK}},
        "context": {**statement["context"], "registration": REGISTRATION_MARK},
    }
