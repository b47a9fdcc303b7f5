"""How we speak HTTP to others: the one module that sends anything to somebody else's system.

Always a timeout, never a redirect to another host, never a password or data in the clear beyond this machine. A session
from `guarded_session` moreover opens no connection to a private address that was not allowed by name.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from connectors.errors import DestinationRefused, DestinationUnavailable, SourceRefused, SourceUnavailable

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two bytes: exports that are made while we wait take their time to begin."""
MAX_REDIRECTS = 5
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that a later try may change (RFC 9110 section 15, RFC 6585 section 4)."""
_NO_PROXY = {"http": "", "https": ""}
"""A proxy for the outside world does not know our loopback."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REMEDIES = {
    401: "Check the key and secret.",
    403: "Ask there for permission.",
    404: "Check the address.",
    410: "Check the address.",
    413: "Send smaller batches.",
}


@dataclass(frozen=True, slots=True)
class Side:
    """Whose error it is when a call fails."""

    unavailable: type[SourceUnavailable] | type[DestinationUnavailable]
    refused: type[SourceRefused] | type[DestinationRefused]


class PrivateAddress(SourceRefused):
    """A connection to a private address that was not allowed by name; `what` says it without the remedy."""

    def __init__(self, host: str, address: str) -> None:
        self.what = f"{host} is at {address}, which is no address of the open internet."
        super().__init__(f"{self.what} If that is right, add {host!r} to `allow_private`.")


SOURCE = Side(SourceUnavailable, SourceRefused)
DESTINATION = Side(DestinationUnavailable, DestinationRefused)


def session() -> requests.Session:
    """Give a session that keeps its connections; close it after use."""
    made = requests.Session()
    made.headers["User-Agent"] = "lrs-bridge"
    return made


def guarded_session(allow_private: Collection[str]) -> requests.Session:
    """Give a session that connects to private addresses only for the hosts named; raises SourceRefused for others.

    Looked at is the address that a name has when the connection is made, so no change of the name in between helps.
    Behind a proxy of the environment the name is the proxy's to resolve, and so is the decision.
    """
    return _guarded(session(), allow_private)


def _guarded(made: requests.Session, allow_private: Collection[str]) -> requests.Session:
    for scheme in ("https://", "http://"):
        made.mount(scheme, _GuardedAdapter(frozenset(allow_private)))
    return made


def bounded_session(allow_private: Collection[str]) -> requests.Session:
    """Give a guarded session for a library that calls by itself: within our timeout, and without redirects."""
    made = _BoundedSession()
    made.headers["User-Agent"] = "lrs-bridge"
    return _guarded(made, allow_private)


class _BoundedSession(requests.Session):
    def request(self, method: str | bytes, url: str | bytes, *args: Any, **given: Any) -> requests.Response:  # noqa: ANN401 - requests' own
        """Send a request, unless to an address that we must not call: that raises requests.exceptions.InvalidURL."""
        address = url.decode() if isinstance(url, bytes) else url
        if fault := url_fault(address):
            raise requests.exceptions.InvalidURL(" ".join(fault))
        ours = {"timeout": TIMEOUT_SECONDS, "allow_redirects": False, "auth": given.get("auth") or _nobody}
        if is_loopback(urlsplit(address).hostname or ""):
            ours["proxies"] = _NO_PROXY
        return super().request(method, url, *args, **given | ours)


def url_fault(url: str) -> tuple[str, str] | None:
    """Tell (what, remedy) when we must not call this address; None when we may."""
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("https", "http") or not host:
        return f"{url!r} is not a web address.", "Write it as https://host/path."
    if parts.username or parts.password:
        return "The address carries a user or a password.", "Take it out: documents are no place for secrets."
    if parts.scheme == "http" and not is_loopback(host):
        return f"http:// sends everything to {host} in the clear.", "Write https://."
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(address: str) -> bool:
    """Tell whether an IP address is not one of the open internet: this machine's, a local network's, a reserved one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return not ip.is_global or ip.is_multicast


def private_fault(url: str, allow_private: Collection[str]) -> tuple[str, str] | None:
    """Tell (what, remedy) when an address says by itself that it is private, and was not allowed by name."""
    host = urlsplit(url).hostname or ""
    try:
        private = host == "localhost" or is_private(host)
    except ValueError:
        return None  # a name: what address it has is seen when we connect
    if not private or host in [other.lower() for other in allow_private]:
        return None
    return f"{host} is no address of the open internet.", f"If that is right, write allow_private: [{host}]."


@contextmanager
def call(
    http: requests.Session,
    side: Side,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    auth: tuple[str, str] | None = None,
    body: bytes | BinaryIO | None = None,
    hide: Callable[[str], str] = str,
    wait: Callable[[requests.Response], float | None] | None = None,
    timeout: tuple[float, float] = TIMEOUT_SECONDS,
) -> Iterator[requests.Response]:
    """Give an answer below 300, or 304, its body still to be read; raises the side's errors, also while it is read.

    `hide` takes out of a server's words what nobody may see, should it repeat our secrets. `wait` reads from a busy
    server's answer in how many seconds to come back; by default that is Retry-After.
    """
    try:
        response = _follow(http, side, method, url, headers=headers, auth=auth, body=body, timeout=timeout)
        with response:
            if response.status_code >= 300 and response.status_code != requests.codes.not_modified:
                raise _refusal(response, side, hide, wait or _asked_for)
            yield response
    except (requests.RequestException, urllib3.exceptions.HTTPError) as err:
        raise side.unavailable(f"{shown(url)} cannot be reached, or stopped half-way ({type(err).__name__}).") from err


def _follow(
    http: requests.Session,
    side: Side,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    auth: tuple[str, str] | None,
    body: bytes | BinaryIO | None,
    timeout: tuple[float, float] = TIMEOUT_SECONDS,
) -> requests.Response:
    """Follow redirects of a GET within the host; what a POST carries is sent to the named address only."""
    start = urlsplit(url)
    proxies = _NO_PROXY if is_loopback(start.hostname or "") else None
    for _ in range(MAX_REDIRECTS + 1):
        response = http.request(
            method,
            url,
            headers=headers,
            auth=auth or _nobody,
            data=body,
            timeout=timeout,
            proxies=proxies,
            allow_redirects=False,
            stream=True,
        )
        if response.status_code not in _REDIRECTS or method != "GET":
            return response
        url = urljoin(url, response.headers.get("Location", ""))
        response.close()
        if url_fault(url) or not _stays(start, urlsplit(url)):
            raise side.refused(
                f"{shown(start.geturl())} sends us on to {shown(url)}, which we do not follow. "
                "If that is right, write that address.",
                status=response.status_code,
            )
    raise side.refused(f"{shown(url)} sends us in circles. Check the address.")


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sign a request as nobody: without this, requests would look for a password in ~/.netrc."""
    return request


def _stays(start: SplitResult, to: SplitResult) -> bool:
    """Tell whether a redirect leads to the same server, or to the same host over TLS."""
    ports = {"http": 80, "https": 443}
    same_port = (start.port or ports[start.scheme]) == (to.port or ports[to.scheme])
    return start.hostname == to.hostname and (same_port or (start.scheme, to.scheme) == ("http", "https"))


def _refusal(
    response: requests.Response,
    side: Side,
    hide: Callable[[str], str],
    wait: Callable[[requests.Response], float | None],
) -> Exception:
    status = response.status_code
    said = hide(f"{shown(response.url)} answered {status} {response.reason or ''}".rstrip())
    if status in BUSY:
        return side.unavailable(f"{said}: try later.", retry_after=wait(response))
    # Hidden before it is shortened: half a secret would not be found.
    words = hide(" ".join(response.raw.read(8192, decode_content=True).decode("utf-8", "replace").split()))
    remedy = _REMEDIES.get(status, "Check the address and what is sent.")
    return side.refused(f"{said}. {remedy}{f' It said: {words[:300]}' if words else ''}", status=status)


def _asked_for(response: requests.Response) -> float | None:
    return retry_after(response.headers, datetime.now(UTC))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Give the seconds that Retry-After asks for, as a number or a date (RFC 9110 section 10.2.3), never capped."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    at = http_date(asked)
    return None if at is None else max(0.0, (at - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """Read a time as headers write it (RFC 9110 section 5.6.7); None when it is none."""
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC)


class _GuardedAdapter(requests.adapters.HTTPAdapter):
    """Makes connections that look at the address they lead to."""

    def __init__(self, allow_private: frozenset[str]) -> None:
        self._allow_private = allow_private
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._allow_private)


def _guarded_pools(allow_private: frozenset[str]) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Make the pools of one session: urllib3 makes connections by class, so what they must know goes into the class."""

    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn, self.host, self.port, allow_private)

    class Encrypted(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn, self.host, self.port, allow_private)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _checked(
    connect: Callable[[], socket.socket], host: str, port: int | None, allow_private: frozenset[str]
) -> socket.socket:
    """Connect, and look before as well as after: a name may get another address between two look-ups."""
    if host in allow_private:
        return connect()
    try:
        found = [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        found = []  # `connect` says better what is wrong with the name
    _refuse_private(host, found)
    made = connect()
    try:
        _refuse_private(host, [made.getpeername()[0]])
    except SourceRefused:
        made.close()
        raise
    return made


def _refuse_private(host: str, addresses: Collection[str]) -> None:
    private = next((address for address in addresses if is_private(address)), None)
    if private:
        raise PrivateAddress(host, private)


def shown(url: str) -> str:
    """Give an address as it may be told: without user, password and query, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
