"""A source that is another LRS: outcomes that it holds as statements; README.md shows the document that declares it.

A statement is a record by its id, ordered by the time at which that LRS stored it. It never changes, but it may be
voided: then the record is deleted. https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md#232-voiding
"""

import copy
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, post_load, validates_schema

from connectors import http, lrs
from connectors.documents import Document, SourceSchema, StrictSchema, Text, TextList, nearest, say, validate
from connectors.errors import ConnectorError, SourceBroken
from connectors.reach import Reach
from connectors.secrets import SecretField, Secrets, TextOrSecret
from connectors.sources import jsontexts
from connectors.sources.cells import printable
from connectors.sources.choices import Choice, YesNo
from connectors.sources.columns import stamp_text
from connectors.sources.durations import Length, Moment
from connectors.sources.layouts import MAX_KEY_CHARS, canonical
from connectors.sources.notes import Notes
from connectors.sources.rows import Finding, Page, Row, RowProblem, State
from connectors.sources.runner import config_hash
from connectors.sources.streams import BEGINNING
from connectors.sources.tables import RAW_CHARS

log = logging.getLogger(__name__)

READING = 1
"""Version of the reading: raise it when the same statements would give other rows, so that all are read again."""
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
VERSIONS = ("1.0.3", "2.0.0")
ASKED = ("verb", "activity", "related_activities", "registration")
"""Keys of a document that are parameters of the request: Communication 2.1.3."""


class BasicSchema(StrictSchema):
    """`{type: basic, username: key, password: {secret: name}}`."""

    type = Text(required=True)
    username = TextOrSecret(required=True)
    password = SecretField(required=True)


class XapiSchema(SourceSchema):
    """The keys of a `type: xapi` document."""

    endpoint = Text(required=True)
    allow_private = TextList(load_default=[])
    auth = Choice({"basic": BasicSchema}, required=True)
    version = Text(load_default=VERSIONS[0])
    verb = Text(load_default=None)
    activity = Text(load_default=None)
    related_activities = YesNo()
    registration = Text(load_default=None)
    since = Moment(load_default=None)
    lookback = Length(load_default=lrs.OVERLAP)

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what we must not call, and what no LRS understands."""
        if fault := http.url_fault(data["endpoint"]):
            raise ValidationError(say(*fault), "endpoint")
        if data["version"] not in VERSIONS:
            what = f"There is no xAPI {data['version']!r} here."
            raise ValidationError(say(what, nearest(data["version"], VERSIONS)), "version")
        if data["related_activities"] and not data["activity"]:
            what = "There is no activity to be related to."
            raise ValidationError(say(what, "Name one in `activity`."), "related_activities")
        for name in ("verb", "activity"):
            if data[name] and not urlsplit(data[name]).scheme:
                raise ValidationError(say(f"{data[name]!r} is no IRI.", "Write it as statements have it."), name)

    @post_load
    def add_question(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Put together what is asked."""
        asked = {name: data[name] for name in ASKED if data[name]}
        return {**data, "asked": {name: "true" if value is True else value for name, value in asked.items()}}


@dataclass(frozen=True, slots=True)
class XapiSource:
    """The other LRS, and what it is asked."""

    name: str
    title: str
    every_seconds: int
    login: lrs.Login
    asked: Mapping[str, str]
    since: datetime | None
    lookback: timedelta
    """So much is read again: what had been given a time but was not shown yet."""
    config: str
    """Hash of all that decides what rows come."""
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "XapiSource":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give what was stored since `state`, and what was voided; a state with every page."""
        known: State = copy.deepcopy(state) if state and state.get("config") == self.config else {}
        known["config"] = self.config
        notes = Notes(known.setdefault("notes", {}))
        with self._reader() as reader:
            yield from self._lane(reader, known, "through", self.asked, notes)
            if self.asked:
                # What voids a statement has another verb and another object, so a filter leaves it out.
                yield from self._lane(reader, known, "voided_through", {"verb": VOIDED}, notes)
        if again := tuple(notes.again(self.reach.clock.now())):
            yield Page((), again, _copy(known))

    def began(self, state: State) -> datetime | None:  # noqa: ARG002 - as the protocol has it
        """Give None: pulls read from the beginning, and go on where they were interrupted."""
        return None

    def slices(self, since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        """Give one, which goes on where it was interrupted."""
        now = self.reach.clock.now()
        since, until = since or self.since or BEGINNING, min(until or now, now)
        return ((since, until),) if since < until else ()

    def backfill(self, low: datetime, high: datetime, state: State | None) -> Iterator[Page]:
        """Give what was stored in [low, high)."""
        known: State = copy.deepcopy(state) if state and state.get("config") == self.config else {}
        known["config"] = self.config
        # `since` leaves out what was stored at that very time.
        since, asked = low - timedelta(microseconds=1), {**self.asked, "until": stamp_text(high)}
        notes = Notes(known.setdefault("notes", {}))
        with self._reader() as reader:
            yield from self._lane(reader, known, "through", asked, notes, since=since)

    def _lane(
        self,
        reader: lrs.Reader,
        known: State,
        mark: str,
        asked: Mapping[str, str],
        notes: Notes,
        *,
        since: datetime | None = None,
    ) -> Iterator[Page]:
        """Give one question's answers; `mark` is where the state keeps up to where nothing is missing."""
        since = datetime.fromisoformat(known[mark]) - self.lookback if mark in known else since or self.since
        number = 0
        for page in reader.pages(asked, since=since):
            rows: list[Row] = []
            problems: list[RowProblem] = []
            for text in page.statements:
                number += 1
                read = _read(text, number)
                if isinstance(read, Row):
                    rows.append(read)
                else:
                    notes.add(f"row {read.raw}", read, self.reach.clock.now())
                    problems.append(read)
            if page.through is not None:
                known[mark] = max(known.get(mark, ""), stamp_text(page.through))
                known |= {"watermark": known.get("through"), "lookback_seconds": self.lookback.total_seconds()}
            yield Page(tuple(rows), tuple(problems), _copy(known))

    def sample(self, limit: int) -> Page:
        """Give the statements stored last."""
        with self._reader() as reader:
            read = [_read(text, number) for number, text in enumerate(reader.newest(self.asked, limit), 1)]
        rows = tuple(one for one in read if isinstance(one, Row))
        return Page(rows[:limit], tuple(one for one in read if isinstance(one, RowProblem)), None)

    def check(self) -> Iterator[Finding]:
        """Look at the login, what is found, in which order it comes, and whether that LRS says what it still lacks."""
        try:
            with self._reader() as reader:
                yield from self._findings(reader)
        except ConnectorError as err:
            yield Finding("login", "failed", str(err), "Mend that first; nothing else could be tried.")

    def _findings(self, reader: lrs.Reader) -> Iterator[Finding]:
        newest = reader.newest(self.asked, 1)
        yield Finding("login", "ok", f"{http.shown(self.login.endpoint)} lets us read statements.", "")
        if not newest:
            remedy = (
                "Look whether the key may read all statements, not only its own, and correct `verb` and `activity`."
            )
            yield Finding("statements", "warning", "There are none that match.", remedy)
            return
        yield Finding("statements", "ok", f"The last one was stored at {stamp_text(lrs.stored(newest[0]))}.", "")
        ahead = lrs.stored(newest[0]) - self.reach.clock.now()
        if ahead > lrs.OVERLAP:
            what = f"Its `stored` lies {ahead.total_seconds():.0f} s in our future."
            yield Finding("clock", "warning", what, "Let both machines take their time from the network.")
        try:
            page = next(iter(reader.pages(self.asked)))
        except SourceBroken as err:
            yield Finding("order", "failed", str(err), "Ask its maker for statements by `ascending=true`.")
            return
        yield Finding("order", "ok", "Statements come oldest first.", "")
        if page.promised:
            yield Finding("consistency", "ok", "It says up to where nothing is missing.", "")
        else:
            what = "It does not say up to where nothing is missing (X-Experience-API-Consistent-Through)."
            remedy = f"What it shows later than {self.lookback} after storing would be missed: raise `lookback` if so."
            yield Finding("consistency", "warning", what, remedy)

    def _reader(self) -> AbstractContextManager[lrs.Reader]:
        return self.login.speaking(lrs.Reader, self.reach)


def load(document: Document, *, base: Path) -> XapiSource:  # noqa: ARG001 - it has no paths, other sources do
    """Give the source that a document declares. Raises ConfigError."""
    data = validate(XapiSchema(), document)
    return XapiSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        login=lrs.Login.of(data),
        asked=data["asked"],
        since=data["since"],
        lookback=data["lookback"],
        config=config_hash(READING, [document.get(key) for key in ("endpoint", "version", "since", *ASKED)]),
    )


def _read(text: bytes, number: int) -> Row | RowProblem:
    """Give the record of a statement, or the deletion of the one that it voids."""
    shown = text.decode("utf-8", "replace")
    try:
        data, _ = jsontexts.decoder.raw_decode(text.decode())
    except (ValueError, RecursionError):
        return _problem(number, None, "This is no JSON that could be read. Mend it there.", shown)
    name = data.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_KEY_CHARS:
        return _problem(number, "id", "The statement has no id, which every LRS must give it.", shown)
    if jsontexts.is_unstorable(data):
        return _problem(number, None, "It holds a NUL or half a character, which cannot be stored.", shown)
    cursor = (stamp_text(lrs.stored(text)),)
    if _verb(data) == VOIDED:
        target = data.get("object")
        voided = target.get("id") if isinstance(target, dict) else None
        if not isinstance(voided, str) or not 0 < len(voided) <= MAX_KEY_CHARS:
            return _problem(number, "object", "It voids a statement and does not say which.", shown)
        return Row(voided.lower(), {}, hashlib.sha256(b"{}").digest(), cursor, number, deleted=True)
    return Row(name.lower(), data, hashlib.sha256(canonical(data).encode()).digest(), cursor, number)


def _verb(data: Mapping[str, Any]) -> object:
    verb = data.get("verb")
    return verb.get("id") if isinstance(verb, dict) else None


def _problem(number: int, column: str | None, message: str, raw: str) -> RowProblem:
    return RowProblem(number, column, message, printable(raw, RAW_CHARS))


def _copy(state: State) -> State:
    copied: State = json.loads(json.dumps(state))
    return copied
