"""Files in S3, or what speaks like it, and in Google's or Microsoft's store: the extra `s3` (obstore).

Credentials and endpoint come from the environment, by the names that each vendor's own tools read (AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL ...).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from lrs.files import reached

_PATIENCE = timedelta(seconds=15)
"""With a store that does not answer: the sender waits as long, and sends again."""


class Bucket:
    """A place for files (`lrs.files.Files`); the store itself makes them whole and lasting."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _store(self) -> ObjectStore:
        # Only when needed: its threads would not live through the fork of a web worker.
        return from_url(self._url, retry_config={"max_retries": 3, "retry_timeout": _PATIENCE})

    def put(self, name: str, data: memoryview) -> None:
        """Write a file, a large one in pieces."""
        with reached(BaseError, OSError):
            obstore.put(self._store, _key(name), data)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Give a piece of a file."""
        with reached(BaseError, OSError):
            return bytes(obstore.get_range(self._store, _key(name), start=start, length=length))

    def before(self, instant: datetime) -> Iterator[str]:
        """Give names, read page by page."""
        with reached(BaseError, OSError):
            for page in obstore.list(self._store):
                yield from (one["path"].rpartition("/")[2] for one in page if one["last_modified"] < instant)

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone is no error."""
        with reached(BaseError, OSError):
            obstore.delete(self._store, _key(name))


def _key(name: str) -> str:
    return f"{name[:2]}/{name}"
