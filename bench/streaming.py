"""200,000 records of a system that is pulled page by page over HTTP: what the runner costs, and what it holds.

The system is a process of its own that answers as ServiceNow does, 1,000 records a page after (time, id); seven records
share each second. The reference walks the same pages with `requests` and decodes them, and does nothing else.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import requests

from bench.lines import Bar, Line, Of
from bench.machine import resident_megabytes
from bench.stage import Options, Stage
from connectors import Reach, Secrets, Source, load_source

RECORDS = 200_000
PAGE = 1000
SAME_SECOND = 7
_READY_SECONDS = 30
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_FORMAT = "%Y-%m-%d %H:%M:%S"
_FIELDS = ",".join(f'"u_field_{number}": "a value of usual length, {number}"' for number in range(30))


def measure(_stage: Stage, _options: Options) -> list[Line]:
    """Walk the pages bare, then with the runner."""
    with _system() as url:
        bare_seconds, bare_cpu = _timed(lambda: _walk(url))
        memory: list[float] = []
        seconds, cpu = _timed(lambda: _pull(url, memory))
    own = 1000 * (cpu - bare_cpu) / RECORDS
    early, most = memory[len(memory) // 10], max(memory[len(memory) // 10 :])
    return [
        Line(
            what=f"pulling {RECORDS:,} records over HTTP",
            measured=RECORDS / seconds,
            unit="records/s",
            reference=RECORDS / bare_seconds,
            reference_is="fetched and decoded only",
        ),
        Line(
            what="  the runner's own part of it",
            measured=own,
            unit="ms a record",
            bars=[Bar(1.0, most=True)],
            notes=[f"ms of processor a record: all {1000 * cpu / RECORDS:.3f}, bare {1000 * bare_cpu / RECORDS:.3f}"],
        ),
        Line(
            what="  memory of the process",
            measured=most,
            unit="MB",
            reference=early,
            reference_is="MB, after a tenth",
            bars=[Bar(1.1, Of.RATIO, most=True)],
        ),
    ]


def _timed(work: Any) -> tuple[float, float]:  # noqa: ANN401 - a function without arguments
    """Give the seconds on the wall and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _walk(url: str) -> None:
    seen, since, after = 0, _BEGIN.strftime(_FORMAT), ""
    with requests.Session() as web:
        while True:
            body = web.get(f"{url}/table", params={"since": since, "after": after}, timeout=60).content
            records = msgspec.json.decode(body)["result"]
            if not records:
                break
            seen += len(records)
            since, after = records[-1]["sys_updated_on"], records[-1]["sys_id"]
    _check(seen)


def _pull(url: str, memory: list[float]) -> None:
    seen = 0
    for page in _source(url).pull(None):
        seen += len(page.rows)
        memory.append(resident_megabytes())
    _check(seen)


def _check(seen: int) -> None:
    if seen != RECORDS:
        raise AssertionError(f"{seen:,} of {RECORDS:,} records came")


def _source(url: str) -> Source:
    document = {
        "kind": "source",
        "name": "bench-live",
        "type": "rest",
        "base_url": url,
        "allow_private": ["127.0.0.1"],
        "auth": {"type": "none"},
        "request": {"path": "/table", "params": {"since": "{low}", "after": "{low_id}"}},
        "page": {"type": "keyset"},
        "records": "result",
        "key": "sys_id",
        "cursor": {
            "field": "sys_updated_on",
            "format": _FORMAT,
            "timezone": "UTC",
            "start": _BEGIN.isoformat(),
            "ordered": True,
        },
    }
    return load_source(document, base=Path(), reach=Reach(Secrets({})))


@contextmanager
def _system() -> Iterator[str]:
    """Run the system; gives its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(_READY_SECONDS):
            raise TimeoutError("The system that is to be pulled did not start.")
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(told: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Table) as server:
        told.send(server.server_port)
        server.serve_forever()


class _Table(BaseHTTPRequestHandler):
    """Gives the records after (time, id)."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        asked = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        since = datetime.strptime(asked["since"], _FORMAT).replace(tzinfo=UTC)
        first = max(0, int((since - _BEGIN).total_seconds())) * SAME_SECOND
        first = max(first, int(asked["after"]) + 1) if asked.get("after") else first
        numbers = range(first, min(first + PAGE, RECORDS))
        body = f'{{"result": [{",".join(map(_record, numbers))}]}}'.encode()
        self.send_response_only(200)
        self.send_header("Date", formatdate(usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _record(number: int) -> str:
    at = (_BEGIN + timedelta(seconds=number // SAME_SECOND)).strftime(_FORMAT)
    return f'{{"sys_id": "{number:032d}", "number": "INC{number:07d}", "sys_updated_on": "{at}", {_FIELDS}}}'
