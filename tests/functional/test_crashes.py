"""`kill -9` of web workers and of PostgreSQL under load: what was acknowledged is there, once, and whole.

Clients write all that there is to write (single statements, batches, references, voidings, attachments), each for an
agent, an activity and a registration of its own, so that what the queries find can be held against what was sent.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from trees import Start, Tree, commands_below, descendants, wait_until

pytestmark = pytest.mark.slow

KILLS = 20
CLIENTS = 6
VERB = "http://adlnet.gov/expapi/verbs/experienced"
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
BOUNDARY = "a-boundary"
MAY_ANSWER = {200, 204, 503}
"""What a client may be told, ever; a connection may also end without an answer."""


# --- what is killed --------------------------------------------------------------------------------------------------


def web_workers(tree: Tree, dice: random.Random) -> list[int]:
    """One of the processes that answer requests."""
    gunicorns = [pid for pid, command in commands_below(tree.process.pid).items() if "gunicorn" in command]
    masters = [pid for pid in gunicorns if set(descendants(pid)) & set(gunicorns)]
    workers = sorted({pid for master in masters for pid in descendants(master)})
    return [dice.choice(workers)] if workers else []


def backends(tree: Tree, dice: random.Random) -> list[int]:
    """One of the PostgreSQL processes that serve a connection; the others end with it, and recover."""
    commands = commands_below(tree.process.pid).items()
    found = [
        pid for pid, command in commands if command.startswith("postgres:") and " lrs_bridge lrs_bridge " in command
    ]
    return [dice.choice(found)] if found else []


def cluster(tree: Tree, _: random.Random) -> list[int]:
    """All of PostgreSQL."""
    return [pid for pid, command in commands_below(tree.process.pid).items() if "postgres" in command.split(" ")[0]]


# `up` gives in when a part ends six times within a minute, so the cluster is killed as a whole but four times. Workers
# come first: one that starts while there is no database takes its siblings with it, which counts as well.
VICTIMS: list[Callable[[Tree, random.Random], list[int]]] = [web_workers] * 8 + [backends] * 8 + [cluster] * 4


# --- clients ---------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """Writes until told to stop, and keeps what it sent and what was acknowledged."""

    number: int
    endpoint: dict[str, str]
    stop: threading.Event
    sent: list[list[dict[str, Any]]] = field(default_factory=list)
    """The statements of each request."""
    acknowledged: list[int] = field(default_factory=list)
    """Places in `sent`."""
    answers: Counter[int] = field(default_factory=Counter)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.dice = random.Random(self.number)  # noqa: S311  to make trouble, not secrets
        self.agent = {"account": {"homePage": "http://lms.example.com", "name": f"client-{self.number}"}}
        self.activity = f"http://lms.example.com/course/{self.number}"
        self.registration = f"{self.number:08x}-0000-4000-8000-000000000000"
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self._write()
        except BaseException as err:  # noqa: BLE001 - told by the test
            self.error = err

    def get(self, **query: str) -> tuple[int, bytes]:
        path = f"/xapi/statements?{urlencode(query)}"
        try:
            return self.call("GET", path)
        except ConnectionError:  # the server closes connections that idle
            return self.call("GET", path)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def call(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(urlsplit(self.endpoint["url"]).netloc, timeout=20)
        basic = base64.b64encode(f"{self.endpoint['key']}:{self.endpoint['secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "X-Experience-API-Version": "1.0.3"}
        headers |= {"Content-Type": content_type} if method != "GET" else {}
        try:
            self.connection.request(method, path, body or None, headers)
            response = self.connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self.connection.close()
            self.connection = None
            raise

    def _write(self) -> None:
        batch, request = self._request()
        self.sent.append(batch)
        # Some clients send again what was not acknowledged, the same ids; others never do.
        for _ in range(self.dice.choice([1, 200])):
            status = 0
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = self.call(*request)
            self.answers[status] += 1
            if status in {200, 204}:
                self.acknowledged.append(len(self.sent) - 1)
                return
            if self.stop.wait(0.2):
                return

    def _request(self) -> tuple[list[dict[str, Any]], tuple[Any, ...]]:
        match self.dice.randrange(5):
            case 0:
                one = self._statement()
                return [one], ("PUT", f"/xapi/statements?statementId={quote(one['id'])}", json.dumps(one).encode())
            case 1:
                batch = [self._statement() for _ in range(10)]
            case 2:
                target = self._statement()
                batch = [self._about(target, VOIDED), target, self._statement()]
            case 3:
                target = self._statement()
                batch = [self._statement(), target, self._about(target, VERB)]
            case _:
                return self._with_attachment()
        return batch, ("POST", "/xapi/statements", json.dumps(batch).encode())

    def _statement(self, **more: Any) -> dict[str, Any]:
        made = {
            "id": str(uuid.UUID(int=self.dice.getrandbits(128), version=4)),
            "actor": self.agent,
            "verb": {"id": VERB},
            "object": {"id": self.activity},
            "context": {"registration": self.registration},
        }
        return made | more

    def _about(self, target: dict[str, Any], verb: str) -> dict[str, Any]:
        return self._statement(verb={"id": verb}, object={"objectType": "StatementRef", "id": target["id"]})

    def _with_attachment(self) -> tuple[list[dict[str, Any]], tuple[Any, ...]]:
        content = f"{self.number} {len(self.sent)} ".encode() * 20
        digest = hashlib.sha256(content).hexdigest()
        attachment = {"usageType": "http://example.com/note", "display": {"en": "a note"}, "contentType": "text/plain"}
        one = self._statement(attachments=[attachment | {"length": len(content), "sha2": digest}])
        body = (
            f"--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{json.dumps([one])}\r\n--{BOUNDARY}\r\n"
            f"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {digest}\r\n\r\n"
        ).encode()
        body += content + f"\r\n--{BOUNDARY}--\r\n".encode()
        return [one], ("POST", "/xapi/statements", body, f"multipart/mixed; boundary={BOUNDARY}")


def kill(pids: list[int]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


# --- the test --------------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_there_once_and_whole_after_twenty_kills(start: Start) -> None:
    tree = start("--workers", "1")
    stop = threading.Event()
    clients = [Client(number, tree.endpoint, stop) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        kills = kill_under_load(tree, clients)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert [client.error for client in clients] == [None] * CLIENTS
    assert kills == KILLS
    wait_until(lambda: answers_again(clients[0]), "it answers again")
    exported = [json.loads(line) for line in tree.run("statement", "export", "--with-voided").stdout.splitlines()]
    stored = {one["id"]: one for one in exported}
    assert len(stored) == len(exported)  # none doubled
    assert set(stored) <= {one["id"] for client in clients for batch in client.sent for one in batch}
    for client in clients:
        check(client, stored)
        client.close()
    answers = sum((client.answers for client in clients), Counter())
    assert answers[0] + answers[503] > 0  # the load was hit
    assert set(answers) - {0} <= MAY_ANSWER, answers


def kill_under_load(tree: Tree, clients: list[Client]) -> int:
    """Kill twenty times, each time when statements have been acknowledged since the last; gives how often."""
    dice = random.Random(20)  # noqa: S311  to make trouble, not secrets
    kills = 0
    for victims in VICTIMS:
        before = acknowledged(clients)
        wait_until(lambda before=before: acknowledged(clients) > before + 20, "statements are acknowledged again")
        time.sleep(dice.random() / 10)
        kills += kill(victims(tree, dice))
        assert tree.process.poll() is None, tree.output()
    return kills


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def answers_again(client: Client) -> bool:
    try:
        return client.get(limit="1")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def check(client: Client, stored: dict[str, dict[str, Any]]) -> None:
    there = [[one for one in batch if one["id"] in stored] for batch in client.sent]
    assert [place for place in client.acknowledged if there[place] != client.sent[place]] == []  # none lost
    assert [
        found for found, batch in zip(there, client.sent, strict=True) if found not in ([], batch)
    ] == []  # none torn

    mine = {one["id"]: one for batch in there for one in batch}
    voided = {one["object"]["id"] for one in mine.values() if one["verb"]["id"] == VOIDED}
    assert voided
    seen = mine.keys() - voided
    experienced = {found for found in seen if mine[found]["verb"]["id"] == VERB}
    by_account = json.dumps(client.agent)
    assert find(client, agent=by_account) == seen
    assert find(client, registration=client.registration) == seen
    assert find(client, activity=client.activity) == seen  # references by what they point at
    # A voiding statement too, by the verb of what it voids.
    assert find(client, verb=VERB, agent=by_account) == seen
    assert find(client, verb=VOIDED, agent=by_account) == seen - experienced
    for one in list(mine.values())[-40:]:
        check_by_id(client, one, is_voided=one["id"] in voided)


def find(client: Client, **query: str) -> set[str]:
    """Give the ids of all that a query finds, each once."""
    status, body = client.get(**query)
    found: list[str] = []
    while True:
        assert status == 200, body
        page = json.loads(body)
        found += [one["id"] for one in page["statements"]]
        if not page["more"]:
            break
        status, body = client.call("GET", page["more"])
    assert len(found) == len(set(found))
    return set(found)


def check_by_id(client: Client, one: dict[str, Any], *, is_voided: bool) -> None:
    by_id, by_voided_id = client.get(statementId=one["id"]), client.get(voidedStatementId=one["id"])
    assert (by_id[0], by_voided_id[0]) == ((404, 200) if is_voided else (200, 404))
    found = json.loads(by_voided_id[1] if is_voided else by_id[1])
    assert {name: found[name] for name in one} == one
    if "attachments" in one:
        status, body = client.get(statementId=one["id"], attachments="true")
        parts = body.split(b"\r\n\r\n")
        assert status == 200
        assert hashlib.sha256(parts[2].rpartition(b"\r\n--")[0]).hexdigest() == one["attachments"][0]["sha2"]
