"""The requests of one pull: signed, guarded, within the quota, tried again where that helps.

What happens on:
- 429 and 5xx, a timeout, half an answer: wait as long as the answer asks, else 1, 2, 4 s, and try again; after the
  fourth try, or where the wait is longer than a worker should be held, SourceUnavailable says when to come back. What
  Retry-After asks for is never cut short.
- 401: a token that can be renewed is renewed once; else, and at the second 401, SourceRefused.
- any other refusal: SourceRefused, with what the system said, its secrets blanked.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import requests

from connectors import http
from connectors.clocks import Clock
from connectors.errors import SourceBroken, SourceRefused, SourceUnavailable
from connectors.reach import Reach
from connectors.secrets import LEAST_IN_OURS, Hidden
from connectors.sources.asking import Ask
from connectors.sources.paginators import Answer
from connectors.sources.quota import Limits, Quota
from connectors.sources.rows import State
from connectors.sources.signing import Authentication, Signer, Surroundings

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 1.0
"""Doubled at each further try."""
LONGEST_WAIT_SECONDS = 60.0
"""A longer wait is handed on, so that the worker is free for other sources (reference/connectors.md, contract 5)."""
TURN_SECONDS = 5.0
"""So much longer is waited for our turn: of a quota per minute, the first request falls due after a little more."""
MAX_ANSWER_BYTES = 64 << 20
"""An answer is held in memory as a whole."""
_PORTS = {"http": 80, "https": 443}
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class System:
    """A system as a document declares it: where it is, and how it is spoken to."""

    base_url: str
    hosts: frozenset[str]
    """What may be called, as `host:port`."""
    allow_private: frozenset[str]
    auth: Authentication
    headers: Mapping[str, str]
    limits: Limits
    remedies: Mapping[str, str] = field(default_factory=dict)
    """What to ask the vendor's admin for, by what a refusal says."""

    @property
    def account(self) -> str:
        """Names those who use one quota: the host, and a hash of how we sign and of what is declared of the quota.

        A stream whose quota is declared otherwise has one of its own, as Zendesk's exports have.
        """
        decisive = repr((self.auth, self.limits.requests, self.limits.per)).encode()
        return f"{host_and_port(urlsplit(self.base_url))} {hashlib.sha256(decisive).hexdigest()[:16]}"


def host_and_port(parts: SplitResult) -> str:
    """Give what is compared with the hosts that may be called."""
    return f"{parts.hostname}:{parts.port or _PORTS.get(parts.scheme, 0)}"


@dataclass(slots=True)
class Caller(AbstractContextManager["Caller"]):
    """Makes the requests of one pull; a context manager that closes its connections."""

    system: System
    reach: Reach
    login: str = ""
    """What the tokens of this source are kept under."""
    share: float = 1.0
    """So much of the declared quota may be used, 0 to 1."""
    attempts: int = ATTEMPTS
    """Tries of one request; 1 for who tries again in a way of their own."""
    hidden: Hidden = field(default_factory=Hidden)
    _web: requests.Session = field(init=False)
    _quota: Quota = field(init=False)
    _signer: Signer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open no connection yet."""
        self._web = http.guarded_session(self.system.allow_private)
        self._quota = Quota(self.system.limits, self.system.account, self.share, self.reach.buckets)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections; whatever went wrong, no secret is told by it."""
        self._web.close()
        if error is not None:
            self.hidden.hide_in(error)

    @property
    def clock(self) -> Clock:
        """The clock that waits are made by."""
        return self.reach.clock

    @property
    def left(self) -> State | None:
        """What the system last said is left of our requests, as `rows.State` shows it; None: nothing."""
        return self._quota.left

    def told(self, text: str) -> str:
        """Give a text of ours as it may be told, whatever of the system's is in it."""
        return self.hidden.hide(text, least=LEAST_IN_OURS)

    def answer(self, ask: Ask) -> Answer:
        """Give the system's answer; raises SourceError."""
        try:
            return self._signed(ask)
        except SourceRefused as err:
            if err.status != requests.codes.unauthorized or not self._sign().renew():
                raise
            return self._signed(ask)

    def patiently(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        read: Callable[[str, bytes, Mapping[str, str]], _Read],
    ) -> _Read:
        """Give what `read` makes of an answer to a request that is signed, if need be; raises SourceError.

        `read` is given the address, the body and the headers. What it finds unfinished (SourceUnavailable) is asked for
        again as well, so it must be something that may be asked for twice.
        """
        self._check_host(url)
        for attempt in range(1, self.attempts + 1):
            self._wait_for_turn(url)
            try:
                return read(url, *self._sent(method, url, headers, body))
            except SourceUnavailable as err:
                asked = err.retry_after
                if attempt == self.attempts:
                    raise
                self._wait(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) if asked is None else asked, str(err), err)
        raise AssertionError("the last attempt returns or raises")

    def surroundings(self) -> Surroundings:
        """Give what a way to sign needs; its requests are as guarded as all others."""
        tokens = self.reach.tokens
        return Surroundings(self.reach.secrets, self.hidden, self.clock, self._fetch, tokens=tokens, login=self.login)

    def _sign(self) -> Signer:
        if self._signer is None:
            self._signer = self.system.auth.signer(self.surroundings())
        return self._signer

    def _signed(self, ask: Ask) -> Answer:
        headers = {"Accept": "application/json", **self.system.headers, **ask.headers, **self._sign().headers()}
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
        return self.patiently(ask.method, ask.address, headers, ask.content, _decoded)

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        return self.patiently(method, url, headers, body, lambda _url, told, _headers: told)

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send it; tell apart refusals that only say that there were too many requests, and add remedies we know."""
        try:
            return self._send(method, url, headers, body)
        except SourceRefused as err:
            limits = self.system.limits
            if limits.busy is not None and limits.busy in str(err):
                self._quota.hold(limits.per.total_seconds())
                what = f"{http.shown(url)} answered {err.status}, {limits.busy}: there were too many requests."
                raise SourceUnavailable(what, retry_after=limits.per.total_seconds()) from err
            remedies = [remedy for said, remedy in self.system.remedies.items() if said.lower() in str(err).lower()]
            if not remedies:
                raise
            raise SourceRefused(" ".join([str(err), *remedies]), status=err.status) from err

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[bytes, Mapping[str, str]]:
        with http.call(
            self._web,
            http.SOURCE,
            method,
            url,
            headers=headers,
            body=body,
            hide=self.hidden.hide,
            wait=self._asked,
        ) as response:
            self._quota.learn(response.headers, self.clock.now())
            return _whole(response), response.headers

    def _asked(self, response: requests.Response) -> float | None:
        now = self.clock.now()
        found = http.retry_after(response.headers, now)
        if found is None:
            found = self._quota.reset_seconds(response.headers, now)
        if found is not None and response.status_code == requests.codes.too_many_requests:
            self._quota.hold(found)
        return found

    def _wait_for_turn(self, url: str) -> None:
        """Wait until the quota has room; a long wait is handed on, also one that is made of short ones."""
        waited = 0.0
        while (seconds := self._quota.take(self.clock.now())) > 0:
            waited += seconds
            self._wait(
                seconds,
                f"The quota of {http.shown(url)} is used up, or it has told this account to wait.",
                in_all=waited - TURN_SECONDS,
            )

    def _wait(
        self, seconds: float, why: str, err: SourceUnavailable | None = None, *, in_all: float | None = None
    ) -> None:
        if (seconds if in_all is None else in_all) > LONGEST_WAIT_SECONDS:
            at = (self.clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S UTC")
            raise SourceUnavailable(f"{why} We go on after {at}.", retry_after=seconds) from err
        if seconds > 0:
            self.clock.sleep(seconds)

    def _check_host(self, url: str) -> None:
        """Refuse to be led elsewhere, by the address of a next page as by any other."""
        if fault := http.url_fault(url):
            raise SourceRefused(f"{http.shown(url)} is not called. {' '.join(fault)}")
        parts = urlsplit(url)
        if host_and_port(parts) not in self.system.hosts:
            what = f"{http.shown(url)} is not on a host that this source may call."
            raise SourceRefused(f"{what} If that is right, add {parts.netloc!r} to `hosts`.")


def source_time(headers: Mapping[str, str]) -> datetime | None:
    """Give the time on the system's clock, by its Date header."""
    return http.http_date(headers.get("Date", ""))


def _whole(response: requests.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_content(1 << 16):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            what = f"{http.shown(response.url)} answers with more than {MAX_ANSWER_BYTES >> 20} MiB at once."
            raise SourceBroken(f"{what} Ask for smaller pages.")
        parts.append(part)
    return b"".join(parts)


def _decoded(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    try:
        return Answer(url, msgspec.json.decode(body), headers)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # the standard library takes more: half a surrogate pair or NaN, which are one record's fault
    try:
        return Answer(url, json.loads(body), headers)
    except (ValueError, RecursionError) as err:
        kind = headers.get("Content-Type", "something").partition(";")[0].strip()
        if "json" in kind:
            raise SourceUnavailable(f"{http.shown(url)} answered with JSON that stops half-way or is broken.") from err
        what = f"{http.shown(url)} answered with {kind}, not with JSON."
        raise SourceBroken(f"{what} Check the address; a page to log in looks like this too.") from err
