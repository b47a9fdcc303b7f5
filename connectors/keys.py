"""Keys that others publish to prove by (JWKS, RFC 7517), fetched when they are needed and kept by the process."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jwt import PyJWK, PyJWTError

from connectors import http
from connectors.errors import SourceError, SourceUnavailable

log = logging.getLogger(__name__)

FETCH_SECONDS = (3.0, 5.0)
"""To connect, and between two bytes: whoever sends something waits meanwhile, Canvas for 15 s in all."""
FRESH_SECONDS = 3600
"""Keys are fetched again after this, so that a withdrawn one is not believed for longer."""
NEW_KEY_SECONDS = 30
"""A key that is not known is looked for no more often than this: to invent names of keys costs us nothing."""
STALE_SECONDS = 86_400
"""So long the last known keys are believed while new ones cannot be had."""
MAX_BYTES = 256 << 10
MAX_KEYS = 100


@dataclass(slots=True)
class _Set:
    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    fetched_at: float | None = None
    tried_at: float | None = None


class KeySets:
    """Key sets by address; for all threads of a process."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._sets: dict[str, _Set] = {}
        self._lock = threading.Lock()

    def find(self, url: str, name: str, *, allow_private: Collection[str] = ()) -> PyJWK | None:
        """Give the key of this name (`kid`), None when there is none; raises SourceUnavailable when none can be had."""
        held = self._sets.get(url)
        if held is None or self._is_due(held, name):
            with self._lock:
                held = self._sets.setdefault(url, _Set())
                if self._is_due(held, name):  # another thread may just have fetched them
                    self._fetch(url, held, allow_private)
        if held.fetched_at is None or self._seconds() - held.fetched_at > STALE_SECONDS:
            raise SourceUnavailable(f"The keys at {http.shown(url)} cannot be had. Check the address, or try later.")
        return held.keys.get(name)

    def _is_due(self, held: _Set, name: str) -> bool:
        now = self._seconds()
        if held.tried_at is not None and now - held.tried_at < NEW_KEY_SECONDS:
            return False
        return held.fetched_at is None or now - held.fetched_at > FRESH_SECONDS or name not in held.keys

    def _fetch(self, url: str, held: _Set, allow_private: Collection[str]) -> None:
        held.tried_at = self._seconds()
        try:
            keys = _keys(_fetched(url, allow_private))
        except (SourceError, ValueError) as err:
            log.warning("The keys at %s cannot be had: %s", http.shown(url), err)
            return
        held.keys, held.fetched_at = keys, self._seconds()


def _fetched(url: str, allow_private: Collection[str]) -> bytes:
    headers = {"Accept": "application/json"}
    with (
        http.guarded_session(allow_private) as web,
        http.call(web, http.SOURCE, "GET", url, headers=headers, timeout=FETCH_SECONDS) as response,
    ):
        body = b""
        for part in response.iter_content(1 << 16):
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"they have more than {MAX_BYTES} bytes")
    return body


def _keys(body: bytes) -> Mapping[str, PyJWK]:
    """Give the RSA keys for signatures; others, and those without a name, are passed over."""
    try:
        listed = msgspec.json.decode(body)["keys"]
        candidates = [one for one in listed[:MAX_KEYS] if _is_for_signatures(one)]
    except (msgspec.MsgspecError, RecursionError, TypeError, KeyError) as err:
        raise ValueError("this is no key set (RFC 7517)") from err
    found = {}
    for one in candidates:
        try:
            found[one["kid"]] = PyJWK(one, algorithm="RS256")
        except (PyJWTError, ValueError, TypeError) as err:
            log.warning("A published key cannot be used (%s).", type(err).__name__)
    if not found:
        raise ValueError("there is no RSA key with a name among them")
    return found


def _is_for_signatures(one: Any) -> bool:  # noqa: ANN401 - JSON
    return (
        isinstance(one, dict)
        and isinstance(one.get("kid"), str)
        and one.get("kty") == "RSA"
        and one.get("use", "sig") == "sig"
        and one.get("alg", "RS256") == "RS256"
    )
