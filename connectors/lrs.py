"""Posting statements to any LRS, over its xAPI endpoint.

Raw JSON, not tincan: tincan rewrites what it is given (truncated timestamps, durations) and refuses xAPI 2.0.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Communication.md#212-post-statements
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import requests

from connectors import http
from connectors.errors import DestinationRefused, DestinationUnavailable

Statement = Mapping[str, Any]

ATTEMPTS = 5
"""Tries for one batch: with the waits below, some 15 s of an LRS that restarts."""
FIRST_WAIT_SECONDS = 1.0
"""Doubled at each further try."""
LONGEST_WAIT_SECONDS = 60.0
"""An LRS that asks for more is left to the caller, who can use the time better."""


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
