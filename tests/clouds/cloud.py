"""What all clouds of ours have in common: records that are put, shown late and deleted; faults; how to pull."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import responses
from helpdesk import NOON, FakeClock, Pulled, Reply
from requests import PreparedRequest

from connectors import Reach, Secrets, load_source
from connectors.sources import rest


@dataclass
class Record:
    """One record as it is since it was last put."""

    number: int
    at: datetime
    """The time of change that it carries."""
    shown_at: datetime
    """From when on the interface shows it so: later than `at` where it was committed late, or an index runs behind."""
    values: dict[str, Any]
    deleted: bool = False


@dataclass
class Refusal:
    """What a vendor answers when we may not, and what of it a person reads."""

    reply: Reply
    told: str


class Cloud:
    """A vendor's interface with one stream of records; the class attributes say what is the vendor's own."""

    VENDOR: ClassVar[str]
    ACCOUNT: ClassVar[dict[str, Any]]
    STREAM: ClassVar[str]
    ROUTES: ClassVar[list[tuple[str, str]]]
    """(method, address), each answered by `page`."""
    TOKEN_URL: ClassVar[str | None] = None
    """Where tokens are fetched; None: the key is fixed."""
    SIZE: ClassVar[int] = 3
    """Rows a page, whatever is asked for."""
    NUMBER: ClassVar[str]
    """A field that `put` takes and that a mapping would read as a number."""
    NUMBER_PATH: ClassVar[str]
    """Where drift names it."""
    CUSTOM: ClassVar[str]
    """A field of the customer's own, as `put` takes it."""
    CUSTOM_PATH: ClassVar[str | None]
    """Where drift names it; None: only fields that are named are asked for, or they come in a list."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.records: dict[int, Record] = {}
        self.faults: deque[Reply | None] = deque()
        self.requests: list[PreparedRequest] = []
        self.before: Callable[[Cloud, int], None] = lambda _cloud, _number: None
        """Called with the number of each request before it is answered: the world goes on meanwhile."""
        self.token = 0
        self.revoked = False
        self.secrets = Secrets(_Anything(), Path("/nowhere"))

    # What a test does to it.

    def fill(self, count: int) -> list[str]:
        """Put so many records, an hour apart, the last of them ten minutes ago; gives their keys."""
        for number in range(1, count + 1):
            self.put(number, at=NOON - timedelta(minutes=10, hours=count - number))
        return [self.key(number) for number in range(1, count + 1)]

    def put(self, number: int, *, at: datetime | None = None, shown_at: datetime | None = None, **values: Any) -> None:
        """Make a record, or change it."""
        at = at or self.clock.at
        known = self.records[number].values if number in self.records else {}
        self.records[number] = Record(number, at, shown_at or at, {**known, **values})

    def delete(self, number: int, *, at: datetime | None = None) -> None:
        """Delete a record."""
        self.records[number].deleted = True
        self.records[number].at = self.records[number].shown_at = at or self.clock.at

    # What a vendor's cloud is by.

    def key(self, number: int) -> str:
        """Give the key that our row of a record has."""
        return str(number)

    def page(self, request: PreparedRequest) -> Reply:
        """Answer a request."""
        raise NotImplementedError

    def busy(self) -> tuple[Reply, float]:
        """Give what it answers when there are too many requests, and the seconds that we then wait."""
        raise NotImplementedError

    def long_busy(self) -> tuple[Reply, float | None]:
        """Give what it answers when it is to be left alone for long, and for how many seconds."""
        raise NotImplementedError

    def expired(self) -> Refusal:
        """Give what it answers to a token that is no good."""
        raise NotImplementedError

    def forbidden(self) -> Refusal:
        """Give what it answers when a permission was taken away."""
        raise NotImplementedError

    # What is the same in all.

    def visible(self) -> list[Record]:
        """Give the records that are shown now, oldest change first."""
        shown = [record for record in self.records.values() if record.shown_at <= self.clock.at]
        return sorted(shown, key=lambda record: (record.at, record.number))

    def named(self, key: str) -> Record | None:
        """Give the record of a key, None where it is not shown."""
        return next((one for one in self.visible() if self.key(one.number) == key and not one.deleted), None)

    def answer(self, request: PreparedRequest) -> Reply:
        """Answer a request, or give the next fault."""
        self.requests.append(request)
        self.before(self, len(self.requests))
        if self.faults and (fault := self.faults.popleft()):
            return fault
        if self.TOKEN_URL and request.headers["Authorization"] != f"Bearer token-{self.token}":
            return self.expired().reply
        return self.page(request)

    def grant(self, _request: PreparedRequest) -> Reply:
        """Give a token."""
        self.token += 1
        return self.reply({"access_token": f"token-{self.token}", "expires_in": 7200, "token_type": "Bearer"})

    def reply(self, body: object, status: int = 200, **headers: str) -> Reply:
        """Give an answer in JSON with the time of this cloud's clock."""
        date = format_datetime(self.clock.at, usegmt=True)
        return status, {"Date": date, "Content-Type": "application/json", **headers}, json.dumps(body)

    @contextmanager
    def online(self) -> Iterator["Cloud"]:
        """Let it be reached."""
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method, address in self.ROUTES:
                mock.add_callback(method, address, callback=self.answer)
            if self.TOKEN_URL:
                mock.add_callback(responses.POST, self.TOKEN_URL, callback=self.grant)
            yield self

    def source(self, **keys: Any) -> rest.RestSource:
        """Give the source of the smallest document, with the given keys added; `account` is added to."""
        account = self.ACCOUNT | keys.pop("account", {})
        document = {"kind": "source", "name": self.VENDOR, "type": self.VENDOR, "stream": self.STREAM}
        reach = Reach(self.secrets, self.clock)
        made = load_source(document | {"account": account} | keys, base=Path("/base"), reach=reach)
        assert isinstance(made, rest.RestSource)
        return made

    def pages(self, state: Any = None, **keys: Any) -> Iterator[Any]:
        """Pull page by page."""
        return self.source(**keys).pull(state)

    def pull(self, state: Any = None, **keys: Any) -> Pulled:
        """Pull everything, as a bridge would store it."""
        pulled = Pulled()
        for page in self.pages(state, **keys):
            pulled.take(page)
        return pulled


class _Anything(dict[str, str]):
    """An environment with a value for every secret."""

    def get(self, name: str, default: Any = None) -> Any:
        held = name.startswith("LRS_BRIDGE_SOURCE_") and not name.endswith("_FILE")
        return f"s3cret-{name.lower()}" if held else default


def query(request: PreparedRequest) -> dict[str, str]:
    """Give the parameters of a request."""
    return dict(parse_qsl(urlsplit(str(request.url)).query, keep_blank_values=True))


def path(request: PreparedRequest) -> str:
    """Give the path of a request."""
    return urlsplit(str(request.url)).path


def body(request: PreparedRequest) -> dict[str, Any]:
    """Give the JSON that a request carries."""
    found: dict[str, Any] = json.loads(request.body or "{}")
    return found
