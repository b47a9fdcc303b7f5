"""Posting statements to any LRS and reading those of another, over its xAPI endpoint.

Raw JSON, not tincan's objects: tincan rewrites what it is given (truncated timestamps, durations) and refuses xAPI 2.0.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Communication.md#212-post-statements
"""

import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
import requests
from tincan import RemoteLRS
from tincan.http_request import HTTPRequest

from connectors import http
from connectors.errors import (
    DestinationRefused,
    DestinationUnavailable,
    SourceBroken,
    SourceRefused,
    SourceUnavailable,
)

Statement = Mapping[str, Any]

ATTEMPTS = 5
"""Tries for one batch: with the waits below, some 15 s of an LRS that restarts."""
FIRST_WAIT_SECONDS = 1.0
"""Doubled at each further try."""
LONGEST_WAIT_SECONDS = 60.0
"""An LRS that asks for more is left to the caller, who can use the time better."""
PAGE = 500
"""Statements asked for at once; most LRSs give fewer."""
EMPTY_PAGES = 100
"""So many may come in a row, as from an LRS that filters a page only after it was cut."""
OVERLAP = timedelta(seconds=60)
"""So much is read again after an interruption or next time.

LRSs give many statements one and the same `stored`, and say that all is there while some are still being written.
"""
_CONSISTENT_THROUGH = "X-Experience-API-Consistent-Through"


def post_statements(
    session: requests.Session,
    endpoint: str,
    key: str,
    secret: str,
    statements: Iterable[Statement],
    *,
    batch: int = 50,
    version: str = "1.0.3",
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """Post the statements in their order; gives, after each batch, how many the LRS has acknowledged so far.

    `endpoint` is the address below which `statements` lies, such as https://lrs.example.com/xapi/. A batch is held in
    memory, no more. A statement without an id is given a random one before the first try, so that no retry can store
    it twice; for that to hold over two calls too, give ids. Raises DestinationUnavailable when the LRS stays busy or
    away, DestinationRefused when it says no: what was counted until then is stored, the batch under way may be.
    """
    url = f"{endpoint.rstrip('/')}/statements"
    if fault := http.url_fault(url):
        raise DestinationRefused(" ".join(fault))
    headers = {"Content-Type": "application/json", "X-Experience-API-Version": version}
    remaining = iter(statements)
    acknowledged = 0
    while page := [_with_id(statement) for statement in islice(remaining, batch)]:
        body = json.dumps(page, ensure_ascii=False, allow_nan=False).encode()
        _post(session, url, headers=headers, auth=(key, secret), body=body, sleep=sleep)
        acknowledged += len(page)
        yield acknowledged


def _with_id(statement: Statement) -> Statement:
    return statement if "id" in statement else {"id": str(uuid.uuid4()), **statement}


def _post(
    session: requests.Session,
    url: str,
    *,
    headers: Mapping[str, str],
    auth: tuple[str, str],
    body: bytes,
    sleep: Callable[[float], None],
) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with http.call(session, http.DESTINATION, "POST", url, headers=headers, auth=auth, body=body) as response:
                response.content  # noqa: B018  # read to its end, so that the connection can be used again
                return
        except DestinationUnavailable as err:
            wait = err.retry_after if err.retry_after is not None else _backoff(attempt)
            if attempt == ATTEMPTS or wait > LONGEST_WAIT_SECONDS:
                raise
            sleep(wait)


def _backoff(attempt: int) -> float:
    """Give the wait after a failed try, varied so that many clients do not come back at once."""
    return FIRST_WAIT_SECONDS * float(2 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311  # no secret hangs on it


# --- reading ---------------------------------------------------------------------------------------------------------


class Result(msgspec.Struct):
    """A StatementResult (Communication 2.1.3, Data 2.5); the texts of its statements are never decoded."""

    statements: list[msgspec.Raw]
    more: str | None = None


class _Stored(msgspec.Struct):
    stored: str


class _Identified(msgspec.Struct):
    id: str


@dataclass(frozen=True)
class Page:
    """Some of another LRS's statements, oldest first."""

    statements: list[bytes]
    """JSON texts as they were sent."""
    through: datetime | None
    """Up to here nothing is missing, in `stored` of that LRS; None when the page is empty and nothing is known."""
    promised: bool = False
    """That LRS says itself up to where nothing is missing."""


class Reader:
    """Reads another LRS; `tell` hears of every failed try in words for a person, `hide` blanks secrets in answers."""

    def __init__(
        self,
        session: requests.Session,
        endpoint: str,
        key: str,
        secret: str,
        *,
        version: str = "1.0.3",
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        hide: Callable[[str], str] = str,
    ) -> None:
        if fault := http.url_fault(endpoint):
            raise SourceRefused(" ".join(fault))
        # Not by tincan, whose keys and secrets are ASCII.
        basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self._remote = _Remote(endpoint=endpoint, auth=f"Basic {basic}", session=session, spoken=version, hide=hide)
        self._tell = tell
        self._sleep = sleep

    def pages(self, asked: Mapping[str, str], *, since: datetime | None = None) -> Iterator[Page]:
        """Give all that a query finds (Communication 2.1.3), stored after an instant, page by page.

        Raises SourceUnavailable after some tries, SourceRefused when it says no, SourceBroken for what is no answer to
        the question.
        """
        parameters = {**asked, "ascending": "true", "limit": str(PAGE)}
        if since is not None:
            parameters["since"] = _text(since)
        url = f"{self._remote.endpoint}statements?{urlencode(parameters)}"
        empty = 0
        while url:
            answer = self._get(url)
            result = _result(answer.content)
            promised = _CONSISTENT_THROUGH in answer.headers
            yield Page([bytes(one) for one in result.statements], _through(result, answer), promised)
            following = self._further(result.more, url)
            if following == url:
                raise SourceBroken(f"{http.shown(url)} gives itself as its next page.")
            empty = 0 if result.statements else empty + 1
            if following and empty >= EMPTY_PAGES:
                what = f"{http.shown(url)} gave {EMPTY_PAGES} empty pages in a row, each with a next one."
                raise SourceBroken(f"{what} Ask for less, as of one verb, or ask its maker where they end.")
            url = following

    def newest(self, asked: Mapping[str, str], limit: int) -> list[bytes]:
        """Give the last statements that a query finds, newest first, at most as many as one page of that LRS."""
        query = urlencode({**asked, "limit": str(limit)})
        return [
            bytes(one) for one in _result(self._get(f"{self._remote.endpoint}statements?{query}").content).statements
        ]

    def whole(self, statement: bytes) -> tuple[str, bytes] | None:
        """Give a statement again with its attachments, as content type and body; None when it names none."""
        # Most have none, and are not read for it.
        if b'"attachments"' not in statement:
            return None
        query = urlencode({"statementId": msgspec.json.decode(statement, type=_Identified).id, "attachments": "true"})
        answer = self._get(f"{self._remote.endpoint}statements?{query}")
        return answer.headers.get("Content-Type", ""), answer.content

    def _further(self, more: str | None, url: str) -> str:
        """Give the address of the next page; most LRSs give a path, as they should, and some an address."""
        if not more:
            return ""
        following = urljoin(url, more)
        if urlsplit(following)[:2] != urlsplit(url)[:2]:
            raise SourceRefused(
                f"The next page lies on {http.shown(following)}, where the key and secret do not belong."
            )
        return following

    def _get(self, url: str) -> requests.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._remote.get(url)
            except SourceUnavailable as err:
                wait = err.retry_after if err.retry_after is not None else _backoff(attempt)
                if attempt == ATTEMPTS or wait > LONGEST_WAIT_SECONDS:
                    raise
                self._tell(f"{err} Try {attempt} of {ATTEMPTS}; the next in {wait:.0f} s.")
                self._sleep(wait)
        raise AssertionError("the last try returns or raises")


class _Remote(RemoteLRS):  # type: ignore[misc]  # tincan has no types
    """tincan's client on our connection: with a time limit, never in the clear, never led on to strangers.

    Only what it sends is used: what it makes of an answer has lost digits.
    """

    # Whatever is not named here cannot be set.
    _props = (*RemoteLRS._props, "session", "spoken", "hide")  # noqa: SLF001  # tincan's way of letting a subclass have more

    def get(self, url: str) -> requests.Response:
        """Give the answer as it came, read to its end."""
        return self._send_request(HTTPRequest(method="GET", resource=url))

    def _send_request(self, request: HTTPRequest) -> requests.Response:
        headers = {"X-Experience-API-Version": self.spoken, "Authorization": self.auth}
        headers.update(request.headers)
        method, url = request.method, request.resource
        with http.call(self.session, http.SOURCE, method, url, headers=headers, hide=self.hide) as response:
            response.content  # noqa: B018  # read to its end
            return response


def _result(data: bytes) -> Result:
    try:
        return msgspec.json.decode(data, type=Result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise SourceBroken(f"The answer is no list of statements ({err}). Check the endpoint.") from err


def _through(result: Result, response: requests.Response) -> datetime | None:
    if not result.statements:
        return None
    first, last = (stored(one) for one in (result.statements[0], result.statements[-1]))
    if last + OVERLAP < first:
        raise SourceBroken("Statements come newest first, though the oldest were asked for; it cannot be resumed.")
    promised = response.headers.get(_CONSISTENT_THROUGH)
    return min(last, _instant(promised)) if promised else last


def stored(statement: bytes | msgspec.Raw) -> datetime:
    """Give the time at which that LRS stored a statement; raises SourceBroken."""
    try:
        return _instant(msgspec.json.decode(statement, type=_Stored).stored)
    except msgspec.DecodeError as err:
        raise SourceBroken(f"A statement does not say when it was stored ({err}).") from err


def _instant(written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written.upper())
    except ValueError as err:
        raise SourceBroken(f"{written!r} is no timestamp.") from err
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
