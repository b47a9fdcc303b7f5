"""Posting statements to any LRS, reading those of another and handing ours on, over its xAPI endpoint.

Raw JSON, not tincan's objects: tincan rewrites what it is given (truncated timestamps, durations) and refuses xAPI 2.0.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Communication.md#212-post-statements
"""

import base64
import json
import logging
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, BinaryIO, ClassVar, TypeVar
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
)
from connectors.reach import Reach
from connectors.secrets import Hidden, SecretName

log = logging.getLogger(__name__)

Statement = Mapping[str, Any]
Client = TypeVar("Client", bound="_Client")

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


@dataclass(frozen=True, slots=True)
class Login:
    """Another LRS, and what lets us in."""

    endpoint: str
    allow_private: frozenset[str]
    username: str | SecretName
    password: SecretName
    version: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Login":
        """Take what a document says of it."""
        return cls(
            endpoint=data["endpoint"].rstrip("/") + "/",
            allow_private=frozenset(host.lower() for host in data["allow_private"]),
            username=data["auth"]["username"],
            password=data["auth"]["password"],
            version=data["version"],
        )

    @contextmanager
    def speaking(self, kind: type[Client], reach: Reach) -> Iterator[Client]:
        """Give what reads or writes there, over connections of its own; raises SourceRefused for a missing secret."""
        username, password = (reach.secrets.value(one) for one in (self.username, self.password))
        hidden = Hidden()
        hidden.add(password, *([username] if isinstance(self.username, SecretName) else []))
        with http.guarded_session(self.allow_private) as session:
            yield kind(
                session,
                self.endpoint,
                username,
                password,
                version=self.version,
                tell=log.info,
                sleep=reach.clock.sleep,
                hide=hidden.hide,
            )


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


class _Client:
    """Speaks to another LRS; `tell` hears of failed tries in words for a person, `hide` blanks secrets in answers."""

    side: ClassVar[http.Side]

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
            raise self.side.refused(" ".join(fault))
        self._remote = _Remote(
            endpoint=endpoint, auth=_basic(key, secret), session=session, spoken=version, hide=hide, side=self.side
        )
        self._tell, self._sleep = tell, sleep

    def _get(self, url: str) -> requests.Response:
        return self._tried(lambda: self._remote.get(url))

    def _tried(self, call: Callable[[], requests.Response]) -> requests.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except self.side.unavailable as err:
                wait = err.retry_after if err.retry_after is not None else _backoff(attempt)
                if attempt == ATTEMPTS or wait > LONGEST_WAIT_SECONDS:
                    raise
                self._tell(f"{err} Try {attempt} of {ATTEMPTS}; the next in {wait:.0f} s.")
                self._sleep(wait)
        raise AssertionError("the last try returns or raises")


class Reader(_Client):
    """Reads another LRS."""

    side = http.SOURCE

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


# --- forwarding ------------------------------------------------------------------------------------------------------

ABOUT_STATEMENTS = frozenset({400, 409, 413, 422})
"""Answers that are about what was sent, so that less of it may be taken; 422 is what Ralph says for 400."""
MAX_ATTACHED = 16 << 20
"""Bytes of attachments sent at once, unless one statement alone has more."""
_IN_MEMORY = 1 << 20
"""A larger request is put together on disk."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What came with a statement."""

    sha2: str
    content_type: str
    length: int
    pieces: Callable[[], Iterator[bytes]] = field(repr=False)
    """Gives its bytes, as often as it is called."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A statement that the other LRS will not take, and why."""

    statement: bytes
    error: str
    status: int | None


class Writer(_Client):
    """Posts statements to another LRS as the texts that they are.

    tincan's own `save_statements` would first make objects of them, with other timestamps and durations than the texts
    have; so of tincan it uses what `Reader` does, and for what is sent not even that.
    """

    side = http.DESTINATION

    @property
    def _url(self) -> str:
        return f"{self._remote.endpoint}statements"

    def post(self, statements: Sequence[bytes], attachments: Sequence[Attachment] = ()) -> None:
        """Have them stored, all or none, each under its id (Communication 2.1.2); what fails is tried some times.

        Safe to repeat. Raises DestinationUnavailable, and DestinationRefused with the status of the answer.
        """
        with _body(statements, attachments) as (content_type, body):

            def send() -> requests.Response:
                body.seek(0)
                return self._remote.send("POST", self._url, body, content_type)

            self._check_stored(self._tried(send), statements)

    def post_each(
        self,
        statements: Sequence[bytes],
        *,
        attachments: Callable[[Sequence[bytes]], Sequence[Attachment]],
        equal: Callable[[str, str], bool],
    ) -> Iterator[Refusal]:
        """Post them, halving what is refused until what is at fault stands alone; gives that.

        `attachments` gives those of some of the statements, `equal` compares two texts as the specification does.
        Raises DestinationUnavailable, and DestinationRefused where more is refused than a statement.
        """
        attached = attachments(statements)
        if len(statements) > 1 and sum(one.length for one in attached) > MAX_ATTACHED:
            yield from self._halves(statements, attachments, equal)
            return
        try:
            self.post(statements, attached)
        except DestinationRefused as err:
            if err.status not in ABOUT_STATEMENTS:
                raise
            if len(statements) > 1:
                yield from self._halves(statements, attachments, equal)
            elif err.status != requests.codes.conflict or not self._holds(statements[0], equal):
                yield Refusal(statements[0], str(err), err.status)

    def held(self, statement_id: str) -> bytes | None:
        """Give what it holds under an id, voided or not; None when there is nothing."""
        for name in ("statementId", "voidedStatementId"):
            try:
                return bytes(self._get(f"{self._url}?{urlencode({name: statement_id})}").content)
            except DestinationRefused as err:
                if err.status != requests.codes.not_found:
                    raise
        return None

    def found(self, asked: Mapping[str, str]) -> Iterator[bytes]:
        """Give all that a query finds (Communication 2.1.3), oldest first, page by page."""
        url = f"{self._url}?{urlencode({**asked, 'ascending': 'true', 'limit': str(PAGE)})}"
        while url:
            try:
                result = _result(self._get(url).content)
            except SourceBroken as err:
                raise DestinationRefused(str(err)) from err
            yield from map(bytes, result.statements)
            following = urljoin(url, result.more) if result.more else ""
            if following == url or (following and urlsplit(following)[:2] != urlsplit(url)[:2]):
                raise DestinationRefused(f"The next page is said to lie on {http.shown(following)}, which cannot be.")
            url = following

    def _halves(
        self,
        statements: Sequence[bytes],
        attachments: Callable[[Sequence[bytes]], Sequence[Attachment]],
        equal: Callable[[str, str], bool],
    ) -> Iterator[Refusal]:
        middle = len(statements) // 2
        for half in (statements[:middle], statements[middle:]):
            yield from self.post_each(half, attachments=attachments, equal=equal)

    def _holds(self, statement: bytes, equal: Callable[[str, str], bool]) -> bool:
        """Tell whether it holds this very statement: some LRSs answer 409 for any id that they know."""
        held = self.held(msgspec.json.decode(statement, type=_Identified).id)
        return held is not None and equal(statement.decode(), held.decode())

    def _check_stored(self, answer: requests.Response, statements: Sequence[bytes]) -> None:
        """Look whether the answer is that of an LRS, so that nothing counts as sent to what only answers with 200.

        Ralph names only what it did not hold before, so what an answer leaves out is looked for.
        """
        if answer.status_code == requests.codes.no_content:
            return  # not as the specification has it, but what Ralph says when it holds all of them
        where = http.shown(answer.url)
        try:
            named = {one.lower() for one in msgspec.json.decode(answer.content, type=list[str])}
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            what = f"{where} does not answer as an LRS does, with ids. Check the endpoint."
            raise DestinationRefused(what) from err
        sent = {msgspec.json.decode(one, type=_Identified).id.lower() for one in statements}
        if strange := named - sent:
            what = f"{where} answered with ids that were not sent ({len(strange)} of {len(named)})."
            raise DestinationRefused(f"{what} Check the endpoint, and what stands between.")
        if missing := sum(self.held(one) is None for one in sorted(sent - named)):
            what = f"{where} answered 200 and does not hold {missing} of {len(sent)} statements."
            raise DestinationUnavailable(f"{what} They are sent again later.")


@contextmanager
def _body(statements: Sequence[bytes], attachments: Sequence[Attachment]) -> Iterator[tuple[str, BinaryIO]]:
    """Put a request together (Communication 1.5.2); gives its type, and the body from its beginning."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        boundary = uuid.uuid4().hex
        if attachments:
            file.write(f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode())
        file.write(b"[" + b",".join(statements) + b"]")
        for one in attachments:
            # A statement may say anything there, a line end too, which would be a header of ours.
            content_type = "".join(filter(str.isprintable, one.content_type))
            file.write(
                f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n"
                f"X-Experience-API-Hash: {one.sha2}\r\n\r\n".encode()
            )
            file.writelines(one.pieces())
        if attachments:
            file.write(f"\r\n--{boundary}--\r\n".encode())
        yield (f"multipart/mixed; boundary={boundary}" if attachments else "application/json"), file  # type: ignore[misc]


def _basic(key: str, secret: str) -> str:
    # Not by tincan, whose keys and secrets are ASCII.
    return f"Basic {base64.b64encode(f'{key}:{secret}'.encode()).decode()}"


class _Remote(RemoteLRS):  # type: ignore[misc]  # tincan has no types
    """tincan's client on our connection: with a time limit, never in the clear, never led on to strangers.

    Only what it sends is used: what it makes of an answer has lost digits.
    """

    # Whatever is not named here cannot be set.
    _props = (*RemoteLRS._props, "session", "spoken", "hide", "side")  # noqa: SLF001  # tincan's way of letting a subclass have more

    def get(self, url: str) -> requests.Response:
        """Give the answer as it came, read to its end."""
        return self._send_request(HTTPRequest(method="GET", resource=url))

    def send(self, method: str, url: str, body: BinaryIO, content_type: str) -> requests.Response:
        """Send a body as it is, and give the answer, read to its end.

        Not as one of tincan's requests, which hold text in memory: attachments are neither.
        """
        return self._call(method, url, {"Content-Type": content_type}, body)

    def _send_request(self, request: HTTPRequest) -> requests.Response:
        return self._call(request.method, request.resource, request.headers, None)

    def _call(self, method: str, url: str, more: Mapping[str, str], body: BinaryIO | None) -> requests.Response:
        headers = {"X-Experience-API-Version": self.spoken, "Authorization": self.auth, **more}
        with http.call(self.session, self.side, method, url, headers=headers, body=body, hide=self.hide) as response:
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
