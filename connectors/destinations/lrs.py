"""A destination that is another LRS: it takes findings as statements, and statements that are forwarded.

Which statements of a row stand there is asked of that LRS before each change, not kept here: so an answer that was
lost, or a worker that was killed, leaves no former version behind.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, validates_schema

from connectors import http, lrs
from connectors.destinations import findings
from connectors.destinations.rows import Answer, Held, Outcome, Row, RowDestinationSchema
from connectors.documents import Document, Text, TextList, nearest, say, validate
from connectors.errors import DestinationRefused, SourceRefused
from connectors.reach import Reach
from connectors.secrets import Hidden, SecretName, Secrets
from connectors.sources.choices import Choice
from connectors.sources.xapi import VERSIONS, BasicSchema

log = logging.getLogger(__name__)

BATCH = 25
"""Rows in one call: for each, that LRS is asked what it has of it."""


class LrsSchema(RowDestinationSchema):
    """The keys of a `type: lrs` document."""

    endpoint = Text(required=True)
    allow_private = TextList(load_default=[])
    auth = Choice({"basic": BasicSchema}, required=True)
    version = Text(load_default=VERSIONS[0])
    site = Text(load_default=None)
    system = Text(load_default=None)
    feeds = TextList(load_default=())
    """None unless asked for: statements about people are not for every LRS that takes forwarded ones."""

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what we must not call, and what no LRS understands."""
        if fault := http.url_fault(data["endpoint"]):
            raise ValidationError(say(*fault), "endpoint")
        if data["version"] not in VERSIONS:
            what = f"There is no xAPI {data['version']!r} here."
            raise ValidationError(say(what, nearest(data["version"], VERSIONS)), "version")
        for name in ("site", "system"):
            if data[name] and not urlsplit(data[name]).scheme:
                raise ValidationError(say(f"{data[name]!r} is no IRI.", "Write it as accounts have it."), name)
        faults = {
            place: [say(f"Rows of {name} are no statements.", f"There are: {', '.join(findings.FEEDS)}.")]
            for place, name in enumerate(data["feeds"])
            if name not in findings.FEEDS
        }
        if faults:
            raise ValidationError({"feeds": faults})
        if data["feeds"] and not data["system"]:
            what, remedy = (
                "It is not said who estimates.",
                "Add the address of this installation: `system: https://...`.",
            )
            raise ValidationError(say(what, remedy), "system")


@dataclass(frozen=True, slots=True)
class Lrs:
    """The other LRS."""

    name: str
    title: str
    feeds: tuple[str, ...]
    programs: tuple[str, ...] | None
    site: str | None
    system: str
    """The address by which this installation is known: home page of its account, and where the ids of rows begin."""
    endpoint: str
    allow_private: frozenset[str]
    username: str | SecretName
    password: SecretName
    version: str
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "Lrs":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    @property
    def batch(self) -> int:
        """Give how many rows it takes in one call."""
        return BATCH

    def send(self, rows: Sequence[Row]) -> Iterable[Answer]:
        """Store each row's statement and void those of its former versions, all in one request."""
        with self.writer() as writer:
            answers: list[Answer] = []
            statements: list[bytes] = []
            for row in rows:
                outcome, needed = self._needed(writer, row)
                answers.append(outcome)
                statements += needed
            try:
                if statements:
                    writer.post(statements)
            except DestinationRefused as err:
                if err.status not in lrs.ABOUT_STATEMENTS:
                    raise
                if len(rows) == 1:
                    return [Answer(rows[0].key, Outcome.REFUSED, str(err))]
            else:
                return answers
        return [answer for row in rows for answer in self.send([row])]

    def held(self, feed: str) -> Iterator[Held]:
        """Give what it holds of a feed; of a row with several statements a checksum that is none."""
        asked = {"activity": findings.feed_activity(self.system, feed), "related_activities": "true"}
        found: dict[str, Held] = {}
        with self.writer() as writer:
            for text in writer.found(asked):
                if marked := findings.mark(text):
                    mark = marked[1]
                    other = found.get(mark.key)
                    newest = max(mark.version, other.version) if other else mark.version
                    found[mark.key] = Held(mark.key, newest, "several versions" if other else mark.checksum)
        yield from (found[key] for key in sorted(found))

    def _needed(self, writer: lrs.Writer, row: Row) -> tuple[Answer, list[bytes]]:
        """Give what becomes of a row, and the statements that are needed for it."""
        there = {id_: mark for id_, mark in self._there(writer, row) if mark.key == row.key}
        if row.deleted:
            return Answer(row.key, Outcome.DELETED), [findings.voiding(id_, self.system) for id_ in sorted(there)]
        newest = max((mark.version for mark in there.values()), default=-1)
        made_before = findings.statement_id(self.system, row)
        if newest > row.version or made_before in there:
            older = [id_ for id_, mark in there.items() if id_ != made_before and mark.version <= row.version]
            return Answer(row.key, Outcome.UNCHANGED), [findings.voiding(id_, self.system) for id_ in sorted(older)]
        made = findings.statement(row, self.system, self.site)
        former = [findings.voiding(id_, self.system) for id_ in sorted(there)]
        if made is None:
            return Answer(row.key, Outcome.LEFT_OUT, "They have no account there and no mail address."), former
        return Answer(row.key, Outcome.STORED), [made, *former]

    def _there(self, writer: lrs.Writer, row: Row) -> Iterator[tuple[str, findings.Mark]]:
        """Give the statements of a row that are not voided."""
        for text in writer.found({"activity": findings.row_activity(self.system, row.feed, row.key)}):
            if marked := findings.mark(text):
                yield marked

    @contextmanager
    def writer(self) -> Iterator[lrs.Writer]:
        """Give what posts to it, over one connection."""
        try:
            username, password = (self.reach.secrets.value(one) for one in (self.username, self.password))
            hidden = Hidden()
            hidden.add(password, *([username] if isinstance(self.username, SecretName) else []))
            with http.guarded_session(self.allow_private) as session:
                yield lrs.Writer(
                    session,
                    self.endpoint,
                    username,
                    password,
                    version=self.version,
                    tell=log.info,
                    sleep=self.reach.clock.sleep,
                    hide=hidden.hide,
                )
        except SourceRefused as err:  # of secrets and addresses, which sources share
            raise DestinationRefused(str(err), status=err.status) from err


def load(document: Document, *, base: Path) -> Lrs:  # noqa: ARG001 - it has no paths
    """Give the destination that a document declares. Raises ConfigError."""
    data = validate(LrsSchema(), document)
    return Lrs(
        name=data["name"],
        title=data["title"],
        feeds=tuple(data["feeds"]),
        programs=None if data["programs"] is None else tuple(data["programs"]),
        site=data["site"],
        system=(data["system"] or "").rstrip("/"),
        endpoint=data["endpoint"].rstrip("/") + "/",
        allow_private=frozenset(host.lower() for host in data["allow_private"]),
        username=data["auth"]["username"],
        password=data["auth"]["password"],
        version=data["version"],
    )
