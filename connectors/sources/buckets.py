"""Files in a store that speaks S3: Amazon's, MinIO, Ceph and others; four requests, signed by ourselves.

Not by obstore, which the LRS keeps attachments with: it sends AWS_SESSION_TOKEN of our environment to whatever endpoint
a document names (seen with 0.12.1), and its connections are not guarded.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO
from urllib.parse import quote, urlsplit

import requests

from connectors import http
from connectors.clocks import Clock
from connectors.errors import DestinationRefused, SourceBroken, SourceRefused, SourceUnavailable
from connectors.secrets import Hidden
from connectors.sources.files import Entry, Fingerprint, Reading, fetched

EMPTY = hashlib.sha256(b"").hexdigest()
MAX_LISTING = 10_000_000
"""Bytes of one answer: a thousand keys of a thousand bytes take less."""
MAX_OBJECT = 5 * 2**30
"""Bytes of one request: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""
HASH = "x-amz-meta-sha256"
"""Where what we put says its hash: an ETag is one only for some ways to encrypt and to upload."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


class BucketStore:
    """The objects of a bucket. An object is there whole or not at all."""

    def __init__(
        self,
        web: requests.Session,
        *,
        endpoint: str,
        region: str,
        bucket: str,
        credentials: Credentials | None,
        clock: Clock,
    ) -> None:
        self._web, self._region, self._bucket = web, region, bucket
        self._base = f"{endpoint.rstrip('/')}/{bucket}"
        self._credentials, self._clock = credentials, clock
        hidden = Hidden()
        if credentials:
            hidden.add(credentials.secret_access_key, credentials.access_key_id)
        self._hide = hidden.hide

    def look(self, path: str) -> Entry | None:
        """Look for the object among those whose names begin so."""
        return next((found for found in self._listed(path, limit=1) if found.path == path), None)

    def entries(self, folder: str) -> Iterator[Entry]:
        """Give the objects right below a prefix."""
        prefix = f"{folder.rstrip('/')}/" if folder.strip("/") else ""
        yield from (found for found in self._listed(prefix) if found.path != prefix)

    @contextmanager
    def read(self, path: str, known: Fingerprint | None) -> Iterator[Reading | None]:
        """Fetch the object."""
        url = self._url(path)
        try:
            with fetched(self._web, url, known, self._headers(url), hide=self._hide) as reading:
                yield reading
        except SourceRefused as err:
            if err.status != requests.codes.not_found:
                raise
            remedy = "Wait for the export, or correct `path`."
            raise SourceUnavailable(f"There is no file {self.shown(path)}. {remedy}") from err

    def holds(self, path: str, *, size: int, sha256: str) -> bool:
        """Tell whether an object is there that `put` wrote with these bytes."""
        url = self._url(path)
        headers = self._headers(url, method="HEAD")
        try:
            with http.call(self._web, http.DESTINATION, "HEAD", url, headers=headers, hide=self._hide) as response:
                found = response.headers
        except DestinationRefused as err:
            if err.status != requests.codes.not_found:
                raise
            return False
        return (found.get(HASH), found.get("Content-Length")) == (sha256, str(size))

    def put(self, path: str, file: BinaryIO, *, sha256: str, content_type: str) -> None:
        """Write an object of at most MAX_OBJECT bytes in one request, which takes effect as a whole or not at all.

        Not in parts: those of a process that was killed would stay there, unseen and paid for.
        """
        url = self._url(path)
        headers = self._headers(url, {HASH: sha256, "Content-Type": content_type}, method="PUT", sha256=sha256)
        with http.call(
            self._web, http.DESTINATION, "PUT", url, headers=headers, body=file, hide=self._hide
        ) as response:
            response.content  # noqa: B018  # read to its end, so that the connection can be used again

    def shown(self, path: str) -> str:
        """Give its address."""
        return f"s3://{self._bucket}/{path}"

    def _url(self, path: str) -> str:
        return f"{self._base}/{quote(path, safe='/-_.~')}"

    def _listed(self, prefix: str, *, limit: int = 1000) -> Iterator[Entry]:
        """List page by page: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
        asked = {"delimiter": "/", "list-type": "2", "max-keys": str(limit), "prefix": prefix}
        while True:
            query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(asked.items()))
            url = f"{self._base}?{query}"
            with http.call(self._web, http.SOURCE, "GET", url, headers=self._headers(url), hide=self._hide) as response:
                text = response.raw.read(MAX_LISTING, decode_content=True)
            following, found = _listing(text, self.shown(prefix))
            yield from found
            if not following or limit == 1:
                return
            asked["continuation-token"] = following

    def _headers(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", sha256: str = EMPTY
    ) -> Mapping[str, str]:
        if self._credentials is None:
            return headers or {}
        at = self._clock.now()
        return signed(url, self._credentials, self._region, at, headers or {}, method=method, sha256=sha256)


def signed(
    url: str,
    credentials: Credentials,
    region: str,
    at: datetime,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    sha256: str = EMPTY,
) -> Mapping[str, str]:
    """Give the headers of a request, signed; `sha256` is its body's. The query must be sorted and escaped already."""
    parts = urlsplit(url)
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    told = {"host": parts.netloc, "x-amz-content-sha256": sha256, "x-amz-date": stamp}
    told |= {name.lower(): value for name, value in headers.items()}
    names = ";".join(sorted(told))
    lines = [f"{name}:{told[name]}" for name in sorted(told)]
    request = "\n".join([method, parts.path or "/", parts.query, *lines, "", names, sha256])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    written = f"Credential={credentials.access_key_id}/{scope},SignedHeaders={names},Signature={_hmac(key, text).hex()}"
    del told["host"]  # the connection says it
    return {**told, "Authorization": f"AWS4-HMAC-SHA256 {written}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _listing(text: bytes, name: str) -> tuple[str | None, list[Entry]]:
    """Read a ListBucketResult; the namespace differs between makers."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat refuses what swells, and the text is bounded
        found = [
            Entry(
                one.findtext("{*}Key", ""),
                int(one.findtext("{*}Size", "")),
                one.findtext("{*}ETag", ""),
                None,
            )
            for one in root.findall("{*}Contents")
        ]
    except (ET.ParseError, ValueError) as err:
        raise SourceBroken(f"{name} is not listed as S3 does it ({err}). Correct `access.endpoint`.") from err
    if not root.tag.endswith("ListBucketResult"):
        raise SourceBroken(f"{name} is not listed as S3 does it, but as {root.tag!r}. Correct `access.endpoint`.")
    return root.findtext("{*}NextContinuationToken"), found
