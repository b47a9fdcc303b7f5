"""Canvas as its REST API is spoken: one request at a time, pages by opaque links, throttling obeyed.

https://developerdocs.instructure.com/services/canvas/basics/file.throttling: each token has a bucket that requests fill
by what they cost and that empties by some 10 a second; `X-Rate-Limit-Remaining` is the room that is left, and a full
bucket answers 403 with `Rate Limit Exceeded`, on some sites 429. We wait before it is full. Ids are asked for as texts:
https://developerdocs.instructure.com/services/canvas/basics/file.object_ids.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from marshmallow import Schema
from requests.utils import parse_header_links

from connectors.errors import (
    DestinationRefused,
    DestinationUnavailable,
    SourceBroken,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.reach import Reach
from connectors.sources.asking import Ask
from connectors.sources.authentications import AUTHENTICATIONS
from connectors.sources.calls import Caller, System, host_and_port
from connectors.sources.paginators import Answer
from connectors.sources.quota import Limits
from connectors.sources.signing import Authentication

WAYS: Mapping[str, type[Schema]] = {name: AUTHENTICATIONS[name] for name in ("bearer", "refresh_token")}
"""How Canvas lets a program in: by a token that a user made, or by those of a developer key."""
PER_PAGE = 100
"""How many Canvas gives at most is not documented; it gives fewer where it wants to."""
LOWEST_ROOM = 100.0
"""We wait below this: a request is charged 50 before it is made (canvas-lms: request_throttle.rb, up_front_cost)."""
OUTFLOW = 10.0
"""So much room comes back in a second, likewise."""
MOST_PAGES = 5_000
PROGRESS_SECONDS = 180
"""So long one of Canvas's jobs is waited for; a delivery that ends before its job is just made again."""
FIRST_LOOK_SECONDS = 0.5
LONGEST_LOOK_SECONDS = 8.0
_BUSY = Limits(busy="Rate Limit Exceeded", per=timedelta(seconds=20))


class JobFailed(Exception):
    """One of Canvas's own background jobs did not end well; nothing, some or all of it may have been done."""


@dataclass(frozen=True, slots=True)
class Site:
    """A Canvas, and how it lets us in."""

    url: str
    auth: Authentication
    allow_private: frozenset[str]

    def system(self) -> System:
        """Give it as requests are made to it."""
        hosts = {self.url, getattr(self.auth, "token_url", self.url)}
        return System(
            base_url=self.url,
            hosts=frozenset(host_and_port(urlsplit(one)) for one in hosts),
            allow_private=self.allow_private,
            auth=self.auth,
            headers={"Accept": "application/json+canvas-string-ids"},
            limits=_BUSY,
        )


@dataclass(slots=True)
class Canvas(AbstractContextManager["Canvas"]):
    """Speaks to one Canvas; raises DestinationError."""

    site: Site
    reach: Reach
    login: str
    _caller: Caller = field(init=False)
    _room: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open no connection yet."""
        self._caller = Caller(self.site.system(), self.reach, self.login)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; whatever went wrong, no secret is told by it."""
        self._caller.__exit__(type_, error, trace)

    def get(self, path: str, **params: Any) -> Any:  # noqa: ANN401 - JSON
        """Give what is at a path below `/api/v1`."""
        return self._answer("GET", path, params=params).body

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Make something."""
        return self._answer("POST", path, body=body).body

    def put(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Change something."""
        return self._answer("PUT", path, body=body).body

    def delete(self, path: str) -> None:
        """Take something away; what is gone already is fine."""
        try:
            self._answer("DELETE", path)
        except DestinationRefused as err:
            if err.status != 404:
                raise

    def pages(self, path: str, **params: Any) -> Iterator[Any]:  # noqa: ANN401
        """Give what a list holds, entry by entry."""
        ask = self._ask("GET", path, {"per_page": PER_PAGE, **params}, None)
        seen = set()
        while True:
            answer = self._given(ask)
            if not isinstance(answer.body, list):
                raise DestinationRefused(f"Canvas answered {path} with no list. Check `url`.")
            yield from answer.body
            link = _next(answer)
            if link is None:
                return
            # The address that we came from leads on without a query of ours: links are opaque.
            seen.add(ask.address)
            ask = ask.with_url(link)
            if ask.address in seen or len(seen) >= MOST_PAGES:
                raise DestinationUnavailable(f"Canvas leads in circles at {path}.")

    def finish(self, progress: Mapping[str, Any]) -> None:
        """Wait until one of Canvas's jobs is done; raises JobFailed, and DestinationUnavailable when it takes too long.

        https://developerdocs.instructure.com/services/canvas/resources/progress
        """
        waited, pause = 0.0, FIRST_LOOK_SECONDS
        while True:
            match progress.get("workflow_state"):
                case "completed":
                    return
                case "failed":
                    # Its message may repeat what was written, and that is about learners.
                    raise JobFailed("Canvas's job failed.")
                case "queued" | "running" if waited < PROGRESS_SECONDS:
                    pass
                case state:
                    what = f"Canvas's job is {state!r} after {waited:.0f} s."
                    raise DestinationUnavailable(f"{what} It is looked at again later.")
            self.reach.clock.sleep(pause)
            waited += pause
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)
            progress = self.get(f"progress/{segment(progress.get('id'))}")

    def lets_us_in(self) -> bool:
        """Tell whether the token is good: where it is not, what was refused was not refused for its own sake."""
        try:
            self.get("users/self")
        except DestinationRefused:
            return False
        return True

    def _answer(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> Answer:
        return self._given(self._ask(method, path, params or {}, body))

    def _ask(self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None) -> Ask:
        return Ask(method, f"{self.site.url}/api/v1/{path}", params, body, {})

    def _given(self, ask: Ask) -> Answer:
        if self._room is not None and self._room < LOWEST_ROOM:
            self.reach.clock.sleep((LOWEST_ROOM - self._room) / OUTFLOW)
            self._room = None
        with _as_a_destination():
            answer = self._caller.answer(ask)
        self._room = _number(answer.headers.get("X-Rate-Limit-Remaining"))
        return answer


def segment(number: object) -> str:
    """Give an id, or one like `sis_course_id:A/1`, as one step of a path."""
    return quote(str(number), safe=":")


def _next(answer: Answer) -> str | None:
    links = parse_header_links(answer.headers.get("Link", ""))
    return next((link["url"] for link in links if link.get("rel") == "next"), None)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


@contextmanager
def _as_a_destination() -> Iterator[None]:
    """Turn what goes wrong with a request into what goes wrong with a destination."""
    try:
        yield
    except SourceUnavailable as err:
        raise DestinationUnavailable(str(err), retry_after=err.retry_after) from err
    except SourceRefused as err:
        raise DestinationRefused(str(err), status=err.status) from err
    except (SourceBroken, SourceError) as err:
        raise DestinationRefused(str(err)) from err
