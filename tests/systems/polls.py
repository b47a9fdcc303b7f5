"""Polls of a real system through its shipped manifest, and what somebody who stores every version once has then."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors import Finding, Page, Reach, Sweep, load_source
from connectors.secrets import Secrets
from connectors.sources import vendors
from connectors.sources.rest import RestSource


@dataclass
class AheadClock:
    """The real clock, or one that the test moved ahead of it; a sleep is a real one."""

    ahead: timedelta = timedelta(0)
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(seconds)


@dataclass
class Polled:
    """A stream that is polled again and again."""

    document: Mapping[str, Any]
    secrets: Mapping[str, str]
    clock: AheadClock = field(default_factory=AheadClock)
    state: Any = None
    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    """Of each record, each once, in the order of polls; None for its deletion."""
    swept: set[str] = field(default_factory=set)
    problems: list[Any] = field(default_factory=list)

    def __call__(self) -> dict[str, dict[str, Any] | None]:
        """Poll; gives the newest version of each record that is new by it."""
        before = {key: len(known) for key, known in self.versions.items()}
        self.problems = []
        for _ in self.pages():
            pass
        return {key: known[-1] for key, known in self.versions.items() if len(known) > before.get(key, 0)}

    def pages(self) -> Iterator[Page]:
        """Poll page by page; each is taken in before it is given."""
        for page in self._source().pull(self.state):
            for row in page.rows:
                known = self.versions.setdefault(row.key, [])
                if not known or known[-1] != row.data:
                    known.append(row.data)
            self.problems += page.problems
            # As a database would have it: what a source does to its copy afterwards is lost.
            self.state = self.state if page.state is None else json.loads(json.dumps(page.state))
            if page.sweep:
                self._sweep(page.sweep)
            yield page

    def check(self) -> dict[str, Finding]:
        """Give what `source check` finds, by name."""
        return {found.name: found for found in self._source().check()}

    def _source(self) -> RestSource:
        secrets = Secrets({f"LRS_BRIDGE_SOURCE_{name}": text for name, text in self.secrets.items()}, Path("/nowhere"))
        source = load_source(self.document, base=Path("/base"))
        assert isinstance(source, RestSource)
        return source.reaching(Reach(secrets, self.clock))

    def _sweep(self, piece: Sweep) -> None:
        self.swept |= set(piece.keys)
        if piece.complete:
            for key in self.versions.keys() - self.swept:
                if self.versions[key][-1] is not None:
                    self.versions[key].append(None)
            self.swept = set()

    def sweep(self) -> dict[str, dict[str, Any] | None]:
        """Poll a day later, and once more for the second reading of the pass."""
        self.clock.ahead += timedelta(days=1, minutes=1)
        new = self()
        self.clock.ahead += timedelta(minutes=30)
        return {**new, **self()}


def small_pages(monkeypatch: pytest.MonkeyPatch, vendor: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Have the shipped manifest ask for small pages, which is all that is changed of it."""
    known = copy.deepcopy(vendors.manifest(vendor))
    for stream in known["streams"].values():
        change(stream["request"]["params"])
    monkeypatch.setattr(vendors, "manifest", lambda _: known)
