"""A source that is a JSON interface over HTTP, declared in the document itself; README.md shows how."""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors import http
from connectors.documents import Document, SourceSchema, StrictSchema, Text, TextList, say, validate
from connectors.errors import SourceRefused
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources import checking
from connectors.sources.asking import Headers
from connectors.sources.authentications import AUTHENTICATIONS
from connectors.sources.calls import Caller, System, host_and_port
from connectors.sources.choices import Block, Choice
from connectors.sources.looking import IN_CURSOR
from connectors.sources.oauth import KeptLogin, OAuth
from connectors.sources.ones import One, OneSchema, fetch
from connectors.sources.quota import Limits, QuotaSchema
from connectors.sources.rows import Finding, Page, State
from connectors.sources.runner import Runner, config_hash
from connectors.sources.slices import Backfill
from connectors.sources.streams import BEGINNING, Stream, StreamSchema

READING = 1
"""Version of the reading: raise it when the same answers would give other rows, so that all are read again."""


class SystemSchema(StrictSchema):
    """The keys that say where a system is, and how it is spoken to."""

    base_url = Text(required=True)
    hosts = TextList(load_default=[])
    allow_private = TextList(load_default=[])
    auth = Choice(AUTHENTICATIONS, required=True)
    headers = Headers(load_default={})
    remedies = fields.Dict(keys=Text(), values=Text(), load_default={})
    quota = Block(QuotaSchema, load_default=Limits())

    @validates_schema
    def check_addresses(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what we must not call, as far as the name alone says so; the rest is seen when we connect."""
        if fault := http.url_fault(data["base_url"]) or http.private_fault(data["base_url"], data["allow_private"]):
            raise ValidationError(say(*fault), "base_url")
        wrong = {place: [_NO_HOST] for place, host in enumerate(data["hosts"]) if not _is_host(host)}
        if wrong:
            raise ValidationError({"hosts": wrong})
        auth = data["auth"]
        hosts = _hosts(data["base_url"], data["hosts"])
        if isinstance(auth, (OAuth, KeptLogin)) and host_and_port(urlsplit(auth.token_url)) not in hosts:
            what = "The secret would go to a host that this source may not call."
            remedy = f"If that is right, add {urlsplit(auth.token_url).netloc!r} to `hosts`."
            raise ValidationError({"auth": {"token_url": [say(what, remedy)]}})


_NO_HOST = say("This is not the name of a host.", "Write it like login.example.com, or example.com:8443.")


def system(data: Mapping[str, Any]) -> System:
    """Make the system of checked keys."""
    return System(
        base_url=data["base_url"],
        hosts=_hosts(data["base_url"], data["hosts"]),
        allow_private=frozenset(host.lower() for host in data["allow_private"]),
        auth=data["auth"],
        headers=data["headers"],
        limits=data["quota"],
        remedies=data["remedies"],
    )


def _hosts(base_url: str, others: Collection[str]) -> frozenset[str]:
    return frozenset(host_and_port(urlsplit(url)) for url in (base_url, *(f"https://{other}" for other in others)))


def _is_host(text: str) -> bool:
    parts = urlsplit(f"https://{text}")
    try:
        return parts.netloc == text and bool(parts.hostname) and "@" not in text and (parts.port or 443) > 0
    except ValueError:
        return False


class RestSchema(SourceSchema, SystemSchema, StreamSchema):
    """The keys of a `type: rest` document."""

    one = Block(OneSchema, load_default=None)

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to ask by a name that is made of several."""
        if data["one"] and len(data["key"]) != 1:
            what = "Single records are asked for by one id."
            raise ValidationError(say(what, "Give `key` one path, or take `one` out."), "one")

    @post_load
    def keep(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Add the stream to the keys."""
        return {**data, "stream": self.stream(data)}


@dataclass(frozen=True, slots=True)
class RestSource:
    """A stream of a system, and what its pulls need of the world."""

    name: str
    title: str
    every_seconds: int
    system: System
    stream: Stream
    config: str
    """Hash of all that decides what rows come."""
    past: Backfill
    one: One | None
    """How single records are asked for."""
    reach: Reach
    zone_key: tuple[str, str] | None = IN_CURSOR

    def reaching(self, reach: Reach) -> "RestSource":
        """Give it with what its caller has for it: secrets, a clock, a shared quota, kept tokens."""
        return replace(self, reach=reach)

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give what changed since `state`, and what was deleted; a state with every page."""
        known: State = copy.deepcopy(state) if state and state.get("config") == self.config else {}
        lanes = {"stream": known.get("stream", {}), "deletions": known.get("deletions", {})}
        if self.stream.listing:
            lanes["sweep"] = self._sweep_state(known)
        told = {name: known[name] for name in TOLD if name in known}
        with Caller(self.system, self.reach, self.name) as caller:
            for lane, stream in self._lanes():
                runner = Runner(stream, caller, lanes[lane], self.name, skips_past=self._skips_past(lane))
                for page in runner.pages():
                    if page.state is None:
                        yield page
                        continue
                    lanes[lane] = page.state
                    told |= self._told(caller, runner)
                    safe = {name: _without_secrets(lanes[name], caller) for name in lanes}
                    yield replace(page, state={"config": self.config, **safe, **told})

    def check(self) -> Iterator[Finding]:
        """Try the stream out on about a page."""
        with Caller(self.system, self.reach, self.name) as caller:
            for one in checking.check(self.stream, caller, self.name, self.zone_key):
                yield replace(one, text=caller.told(one.text), remedy=caller.told(one.remedy))

    def sample(self, limit: int) -> Page:
        """Give the newest rows of a page."""
        with Caller(self.system, self.reach, self.name) as caller:
            return checking.sample(self.stream, caller, self.name, limit)

    def _lanes(self) -> Iterator[tuple[str, Stream]]:
        """Give what is read in a pull, in this order: what changed comes before what takes long and happens seldom."""
        yield "stream", self.stream
        if self.stream.feed:
            yield "deletions", self.stream.feed
        if self.stream.listing:
            yield "sweep", self.stream.listing

    def _skips_past(self, lane: str) -> bool:
        return lane == "stream" and self.past.declared

    def _sweep_state(self, known: State) -> State:
        """Give where the sweep is, by the clock of the source as the stream knows it; anew when it asks otherwise."""
        listing = config_hash(self._listed())
        kept: State = known.get("sweep", {})
        if kept.get("listing") != listing:
            kept = {"listing": listing}
        return {**kept, "skew": known.get("stream", {}).get("skew", 0)}

    def _listed(self) -> tuple[object, ...]:
        """Give what decides which records a sweep lists."""
        listing = self.stream.listing
        return (listing.request, listing.page, listing.records, listing.key) if listing else ()

    def _told(self, caller: Caller, runner: Runner) -> State:
        """Give what of a state is for others to read."""
        told: State = {"quota": caller.left} if caller.left else {}
        if runner.stream is not self.stream:
            return told
        if "watermark" in runner.state:
            told |= {"watermark": runner.state["watermark"]}
        if (late := runner.lateness) is not None:
            told |= {"lateness_seconds": late.seconds(caller.clock.now())}
            told |= {"lookback_seconds": late.lookback.total_seconds()}
        return told

    def began(self, state: State) -> datetime | None:
        """Give from when on pulls read, where the document leaves the past to slices."""
        begun = state.get("stream", {}).get("begun") if state.get("config") == self.config else None
        return datetime.fromisoformat(begun) if begun else None

    def slices(self, since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        """Cut the past into slices, newest first; one, where the system cannot be asked to stop at a time."""
        cursor = self.stream.cursor
        if cursor is None or not self.stream.is_windowed:
            return ()
        now = self.reach.clock.now()
        since, until = since or cursor.start, min(until or now, now)
        if self.stream.can_end and since != BEGINNING:
            return self.past.cut(since, until)
        return ((since, until),) if since < until else ()

    def backfill(self, low: datetime, high: datetime, state: State | None) -> Iterator[Page]:
        """Give what last changed in [low, high), with at most the share of the quota that is for the past."""
        known: State = copy.deepcopy(state["slice"]) if state and state.get("config") == self.config else {}
        with Caller(self.system, self.reach, self.name, share=self.past.share) as caller:
            for page in Runner(self.stream, caller, known, self.name, bounds=(low, high)).pages():
                if page.state is None:
                    yield page
                    continue
                yield replace(page, state={"config": self.config, "slice": _without_secrets(page.state, caller)})

    @property
    def can_fetch(self) -> bool:
        """Whether the document says how single records are asked for."""
        return self.one is not None

    def fetch(self, ids: Sequence[str]) -> Page:
        """Give these records as they are now."""
        if self.one is None:
            what = f"{self.name} does not say how single records are asked for."
            raise SourceRefused(f"{what} Declare it: `one: {{path: /tickets/{{id}}}}`.")
        with Caller(self.system, self.reach, self.name) as caller:
            return fetch(self.one, self.stream, caller, ids, self.name)


def _without_secrets(state: State, caller: Caller) -> State:
    """Give a lane's state without a position that holds a secret: some systems write ours into the next address.

    The window is then begun anew where the next pull finds it unfinished.
    """
    if not caller.hidden.stands_in(state):
        return state
    return {name: state[name] for name in state if name not in ("window", "kept")}


def load(document: Document, *, base: Path) -> RestSource:  # noqa: ARG001 - it has no paths, other sources do
    """Give the source that a document declares. Raises ConfigError."""
    return source(validate(RestSchema(), document), document)


def source(data: Mapping[str, Any], document: Document) -> RestSource:
    """Make the source of checked keys; `document` is what they were written as."""
    return RestSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        system=system(data),
        stream=data["stream"],
        config=config_hash(
            READING,
            [_decisive(document, key) for key in DECISIVE],
            _cursor_of(document),
            *[document[key] for key in DECISIVE_IF_THERE if key in document],
        ),
        past=data["backfill"],
        one=data["one"],
        reach=Reach(Secrets({})),
    )


DECISIVE = ("base_url", "request", "page", "records", "key", "deleted", "omit", "require")
"""The keys that decide which rows come, beside what `_cursor_of` gives."""
DECISIVE_IF_THERE = ("details",)
"""Likewise, but a document without them is what it was before there were such keys, so that nothing is read anew."""


TOLD = ("watermark", "quota", "lateness_seconds", "lookback_seconds")
"""The keys of a state that others read: see `rows.State`."""


def _decisive(document: Document, key: str) -> Any:  # noqa: ANN401
    """Give what a key says of rows; a sweep says nothing of them, only of what does not come any more."""
    value = document.get(key)
    return None if key == "deleted" and isinstance(value, Mapping) and value.get("type") == "sweep" else value


def _cursor_of(document: Document) -> dict[str, Any]:
    """Give what the cursor says of rows; by how much windows overlap does not change them."""
    cursor = document.get("cursor") or {}
    return {key: value for key, value in cursor.items() if key not in ("lookback", "settle")}
