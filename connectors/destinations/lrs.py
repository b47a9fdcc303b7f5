"""A destination that is another LRS: it takes findings as statements, and statements that are forwarded.

Which statements of a row stand there is asked of that LRS, not kept here from one delivery to the next: so an answer
that was lost, or a worker that was killed, leaves no former version behind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, validates, validates_schema

from connectors import http, lrs
from connectors.destinations import findings
from connectors.destinations.rows import Answer, Held, Outcome, Row, RowDestinationSchema
from connectors.documents import Document, Text, TextList, nearest, say, validate
from connectors.errors import DestinationError, DestinationRefused, SourceRefused
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources.choices import Choice
from connectors.sources.xapi import VERSIONS, BasicSchema

BATCH = 25
"""Rows in one call: of fewer, that LRS is asked what it has of each."""
MOST_KNOWN = 20_000
"""Statements that are read and kept in mind so as not to ask for each; with 500 a page, 40 requests."""

Marks = Mapping[str, findings.Mark]
"""What stands there of a row, by the statements' ids."""


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

    @validates("endpoint")
    def check_endpoint(self, value: str, **_: object) -> None:
        """Refuse what we must not call."""
        if fault := http.url_fault(value):
            raise ValidationError(say(*fault))

    @validates("version")
    def check_version(self, value: str, **_: object) -> None:
        """Refuse what no LRS understands."""
        if value not in VERSIONS:
            raise ValidationError(say(f"There is no xAPI {value!r} here.", nearest(value, VERSIONS)))

    @validates("site", "system")
    def check_iri(self, value: str | None, **_: object) -> None:
        """Refuse what no account can have."""
        if value and not urlsplit(value).scheme:
            raise ValidationError(say(f"{value!r} is no IRI.", "Write it as accounts have it."))

    @validates("feeds")
    def check_feeds(self, value: Sequence[str], **_: object) -> None:
        """Refuse a feed that there is not, or whose rows are no statements."""
        super().check_feeds(value)
        faults: dict[str | int, Any] = {
            place: [say(f"Rows of {name} are no statements.", f"There are: {', '.join(findings.FEEDS)}.")]
            for place, name in enumerate(value)
            if name not in findings.FEEDS
        }
        if faults:
            raise ValidationError(faults)

    @validates_schema(skip_on_field_errors=False)
    def check_system(self, data: dict[str, Any], **_: object) -> None:
        """Refuse findings of nobody."""
        if data.get("feeds") and "system" in data and not data["system"]:
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
    login: lrs.Login
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))
    _there: dict[str, dict[str, Marks]] = field(default_factory=dict)
    """What stands there, by feed and key, as it was read and as we changed it since; a feed of which we know it all."""

    def reaching(self, reach: Reach) -> "Lrs":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach, _there={})

    @property
    def batch(self) -> int:
        """Give how many rows it takes in one call."""
        return BATCH

    def send(self, rows: Sequence[Row]) -> Iterable[Answer]:
        """Store each row's statement and void those of its former versions, all in one request."""
        with self.writer() as writer:
            if len(rows) >= BATCH:
                self._know(writer, rows[0].feed)
            answers: list[Answer] = []
            statements: list[bytes] = []
            for row in rows:
                outcome, needed = self._needed(writer, row)
                answers.append(outcome)
                statements += needed
            try:
                if statements:
                    writer.post(statements)
            except DestinationError as err:
                self._there.clear()  # what of it stands there now is not known
                if not isinstance(err, DestinationRefused) or err.status not in lrs.ABOUT_STATEMENTS:
                    raise
                if len(rows) == 1:
                    return [Answer(rows[0].key, Outcome.REFUSED, str(err))]
            else:
                return answers
        return [answer for row in rows for answer in self.send([row])]

    def held(self, feed: str) -> Iterator[Held]:
        """Give what it holds of a feed; of a row with several statements a checksum that is none."""
        found: dict[str, Held] = {}
        with self.writer() as writer:
            for text in self._all(writer, feed):
                if marked := findings.mark(text):
                    mark = marked[1]
                    other = found.get(mark.key)
                    newest = max(mark.version, other.version) if other else mark.version
                    found[mark.key] = Held(mark.key, newest, "several versions" if other else mark.checksum)
        yield from (found[key] for key in sorted(found))

    def _needed(self, writer: lrs.Writer, row: Row) -> tuple[Answer, list[bytes]]:
        """Give what becomes of a row, and the statements that are needed for it."""
        there = self._of(writer, row)
        if row.deleted:
            self._note(row, {})
            return Answer(row.key, Outcome.DELETED), [findings.voiding(id_, self.system) for id_ in sorted(there)]
        newest = max((mark.version for mark in there.values()), default=-1)
        made_before = findings.statement_id(self.system, row)
        if newest > row.version or made_before in there:
            older = [id_ for id_, mark in there.items() if id_ != made_before and mark.version <= row.version]
            self._note(row, {id_: mark for id_, mark in there.items() if id_ not in older})
            return Answer(row.key, Outcome.UNCHANGED), [findings.voiding(id_, self.system) for id_ in sorted(older)]
        made = findings.statement(row, self.system, self.site)
        former = [findings.voiding(id_, self.system) for id_ in sorted(there)]
        marked = findings.mark(made) if made else None
        self._note(row, {marked[0]: marked[1]} if marked else {})
        if made is None:
            return Answer(row.key, Outcome.LEFT_OUT, "They have no account there and no mail address."), former
        return Answer(row.key, Outcome.STORED), [made, *former]

    def _of(self, writer: lrs.Writer, row: Row) -> Marks:
        """Give the statements of a row that are not voided."""
        if row.feed in self._there:
            return self._there[row.feed].get(row.key, {})
        found = map(findings.mark, writer.found({"activity": findings.row_activity(self.system, row.feed, row.key)}))
        return {one[0]: one[1] for one in found if one and one[1].key == row.key}

    def _know(self, writer: lrs.Writer, feed: str) -> None:
        """Read all that stands there of a feed, once: where much is sent, a question for each row takes longer."""
        if feed in self._there:
            return
        known: dict[str, dict[str, findings.Mark]] = {}
        for number, text in enumerate(self._all(writer, feed)):
            if number >= MOST_KNOWN:
                return
            if marked := findings.mark(text):
                known.setdefault(marked[1].key, {})[marked[0]] = marked[1]
        self._there[feed] = dict(known)

    def _all(self, writer: lrs.Writer, feed: str) -> Iterator[bytes]:
        activity = findings.feed_activity(self.system, feed)
        return writer.found({"activity": activity, "related_activities": "true"})

    def _note(self, row: Row, stand: Marks) -> None:
        """Note what will stand there of a row."""
        if row.feed in self._there:
            self._there[row.feed][row.key] = stand

    @contextmanager
    def writer(self) -> Iterator[lrs.Writer]:
        """Give what posts to it, over one connection."""
        try:
            with self.login.speaking(lrs.Writer, self.reach) as made:
                yield made
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
        login=lrs.Login.of(data),
    )
