"""Real systems, as somebody has them installed: started on loopback, filled and changed as people do at work.

Roundup and Tryton live in an environment of their own, `.systems`, which `make test` makes (Makefile). Request Tracker
comes from Debian's packages (`make test-rt`).
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ROOT / ".systems"
TRYTON_DATABASE = SYSTEMS / "crm.sqlite"
TRYTON_KEY = "rest-key-of-the-tests"
"""prepare_tryton.py knows it too."""
RT_SERVER = Path("/usr/share/request-tracker5/libexec/rt-server")
PATIENCE_SECONDS = 60.0
"""Until a server answers: two cores may have ten other things to do."""


def free_port() -> int:
    """Give a port that nobody has now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def program(name: str) -> Path:
    """Give a program of the systems' environment; without it the tests fail, for they would test nothing."""
    found = SYSTEMS / "bin" / name
    assert found.exists(), f"{found} is missing. Run `make .systems/ready`, which installs the systems."
    return found


@contextmanager
def running(command: list[Any], folder: Path, url: str, **variables: str) -> Iterator[None]:
    """Run a server until the block ends; what it says goes into `server.log` in the folder."""
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        _wait_until_it_answers(process, url, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            requests.get(url, timeout=PATIENCE_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{url} does not answer. Its server says:\n{log.read_text('utf-8', 'replace')[-3000:]}")


def _answer(response: requests.Response) -> Any:
    assert response.ok, f"{response.request.method} {response.url}: {response.status_code} {response.text[:1000]}"
    return response.json() if response.content else None


# --- Roundup -------------------------------------------------------------------------------------------------------

_SERVE_ROUNDUP = """\
import sys
from wsgiref.simple_server import make_server
from roundup.cgi.wsgi_handler import RequestDispatcher
make_server("127.0.0.1", int(sys.argv[2]), RequestDispatcher(sys.argv[1])).serve_forever()
"""
"""roundup-server refuses to run as root."""


@dataclass
class Roundup:
    """A tracker, and its admin who works in it; every change takes effect when the method is back."""

    url: str
    web: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.web.auth = ("admin", "secret")
        self.web.headers.update({"X-Requested-With": "rest", "Referer": self.url, "Origin": self.url})

    def make(self, kind: str, **values: str) -> str:
        """Make an item; gives its id."""
        return str(_answer(self.web.post(f"{self.url}/rest/data/{kind}", data=values))["data"]["id"])

    def change(self, kind: str, number: str, **values: str) -> None:
        """Change an item."""
        self._send("PUT", kind, number, values)

    def retire(self, kind: str, number: str) -> None:
        """Take an item out of all lists; it is still there by its address."""
        self._send("DELETE", kind, number, {})

    def restore(self, kind: str, number: str) -> None:
        """Put it back."""
        self._send("PATCH", kind, number, {"@op": "action", "@action_name": "restore"})

    def _send(self, method: str, kind: str, number: str, values: Mapping[str, str]) -> None:
        url = f"{self.url}/rest/data/{kind}/{number}"
        headers = {"If-Match": self.web.get(url).headers["ETag"], "Content-Type": "application/x-www-form-urlencoded"}
        _answer(self.web.request(method, url, data=values, headers=headers))


@contextmanager
def roundup(folder: Path, *, calls: int = 0, per_seconds: int = 1) -> Iterator[Roundup]:
    """Start a tracker of its own in an empty folder; `calls` in `per_seconds` are let through for each user, 0: all."""
    tracker, port = folder / "tracker", free_port()
    tracker.mkdir()
    url = f"http://127.0.0.1:{port}"
    settings = f"tracker_web={url}/,mail_domain=example.com,admin_email=admin@example.com,mail_host=localhost"
    admin = [str(program("roundup-admin")), "-i", str(tracker)]
    subprocess.run([*admin, "install", "classic", "sqlite", settings], check=True, stdout=subprocess.DEVNULL)
    config = tracker / "config.ini"
    limited = config.read_text("utf-8").replace("api_calls_per_interval = 0", f"api_calls_per_interval = {calls}")
    # Mails would be sent for every change.
    limited = limited.replace("\ndebug = \n", f"\ndebug = {folder / 'mails'}\n")
    config.write_text(limited.replace("api_interval_in_sec = 3600", f"api_interval_in_sec = {per_seconds}"), "utf-8")
    subprocess.run([*admin, "initialise", "secret"], check=True, stdout=subprocess.DEVNULL)
    script = folder / "serve.py"
    script.write_text(_SERVE_ROUNDUP)
    with running([program("python"), script, tracker, port], folder, f"{url}/rest/"):
        yield Roundup(url)


# --- Tryton --------------------------------------------------------------------------------------------------------


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@dataclass
class Tryton:
    """A CRM with two employees, Ann and Bob, and a customer (prepare_tryton.py), and somebody who works in it."""

    url: str
    web: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.web.headers["Authorization"] = f"bearer {TRYTON_KEY}"
        self.company = self.found("company.company")[0]["id"]
        self.web.headers["X-Tryton-Context"] = _base64({"company": self.company})
        self.customer = self.found("party.party", ["name", "=", "Customer"])[0]["id"]
        self.ann, self.bob = (row["id"] for row in self.found("company.employee"))

    def found(self, model: str, *domain: Any, fields: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Give records, in the order of their ids."""
        query = {"d": _base64(domain), "o": _base64([["id", "ASC"]]), "f": list(fields) or None}
        rows: list[dict[str, Any]] = _answer(self.web.get(f"{self.url}/rest/model/{model}", params=query))
        return rows

    def make(self, model: str, **values: Any) -> int:
        """Make a record; gives its id."""
        return int(_answer(self.web.post(f"{self.url}/rest/model/{model}", json=values))["id"])

    def lead(self, employee: int, amount: str = "100.00") -> int:
        """Make a lead."""
        return self.make(
            "sale.opportunity",
            company=self.company,
            party=self.customer,
            employee=employee,
            amount={"__class__": "Decimal", "decimal": amount},
        )

    def change(self, model: str, number: int, **values: Any) -> None:
        """Change a record."""
        _answer(self.web.put(f"{self.url}/rest/model/{model}/{number}", json=values))

    def change_all(self, model: str, numbers: Sequence[int], **values: Any) -> None:
        """Change records in one transaction, as an edit of a selection does: by the interface of the clients."""
        body = {"id": 1, "method": f"model.{model}.write", "params": [list(numbers), values, {"company": self.company}]}
        answer = _answer(requests.post(f"{self.url}/rpc/", json=body, auth=("admin", "only for tests"), timeout=60))
        assert "error" not in answer, answer

    def press(self, number: int, button: str) -> None:
        """Press a button of an opportunity: opportunity, lost, cancel, lead."""
        _answer(self.web.post(f"{self.url}/rest/model/sale.opportunity/{number}/{button}", json={}))

    def delete(self, number: int) -> None:
        """Cancel an opportunity and delete it."""
        self.press(number, "cancel")
        _answer(self.web.delete(f"{self.url}/rest/model/sale.opportunity/{number}"))


@contextmanager
def tryton(folder: Path, **variables: str) -> Iterator[Tryton]:
    """Start a server on a copy of the prepared database, in an empty folder."""
    command = program("trytond")
    assert TRYTON_DATABASE.exists(), f"{TRYTON_DATABASE} is missing. Run `make .systems/ready`, which prepares it."
    shutil.copy(TRYTON_DATABASE, folder / "crm.sqlite")
    port = free_port()
    config = folder / "trytond.conf"
    config.write_text(f"[database]\nuri = sqlite://\npath = {folder}\n[web]\nlisten = 127.0.0.1:{port}\n")
    url = f"http://127.0.0.1:{port}/crm"
    with running([command, "-c", config], folder, url, **variables):
        yield Tryton(url)


# --- Request Tracker -----------------------------------------------------------------------------------------------

_RT_CONFIG = """\
Set($rtname, 'tests');
Set($Organization, 'tests.example.com');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($WebPath, '');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{folder}/rt.sqlite');
Set($Timezone, 'UTC');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
Set($MailCommand, 'testfile');
Set($MasonDataDir, '{folder}/mason');
Set($MasonSessionDir, '{folder}/session');
Set($LogDir, '{folder}');
1;
"""
RT_USERS = {"bob": "UTC", "nick": "America/New_York", "toru": "Asia/Tokyo"}
"""Who may read, and where they say that they are."""
_RT_DATA = """\
use strict; use utf8;
our @Users = ({users});
our @Groups = ({{ Name => 'Readers', Description => 'Those who read by REST' }});
our @Members = (map {{ {{ Group => 'Readers', GroupDomain => 'UserDefined', Class => 'RT::User', Name => $_ }} }}
    qw({names}));
our @ACL = (map {{ {{ GroupDomain => 'UserDefined', GroupId => 'Readers', Right => $_ }} }}
    qw(SeeQueue ShowTicket OwnTicket SeeCustomField AdminUsers ManageAuthTokens));
our @CustomFields = ({{ Name => 'CSAT score', Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket',
    Queue => 'General', MaxValues => 1 }});
our @Final = (sub {{
    require RT::AuthToken;
    open my $out, '>', '{folder}/tokens' or die $!;
    for my $name (qw({names})) {{
        my $user = RT::User->new(RT->SystemUser);
        $user->Load($name);
        my $token = RT::AuthToken->new(RT->SystemUser);
        my ($id, $message, $text) = $token->Create(Owner => $user->Id, Description => 'lrs-bridge');
        die $message unless $id;
        print $out "$name $text\\n";
    }}
    close $out;
}});
1;
"""


@dataclass
class RequestTracker:
    """A Request Tracker, and its root who works in it."""

    url: str
    tokens: Mapping[str, str]
    """Of those in RT_USERS."""
    web: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.web.auth = ("root", "secret")

    def ticket(self, subject: str, *, owner: str = "Nobody") -> str:
        """Make a ticket; gives its id."""
        body = {"Queue": "General", "Subject": subject, "Owner": owner}
        return str(_answer(self.web.post(f"{self.url}/REST/2.0/ticket", json=body))["id"])

    def change(self, number: str, **values: Any) -> None:
        """Change a ticket."""
        _answer(self.web.put(f"{self.url}/REST/2.0/ticket/{number}", json=values))

    def switch_off(self, user: str) -> None:
        """Make a user and disable it."""
        body = {"Name": user, "EmailAddress": f"{user}@example.com", "Privileged": 1}
        _answer(self.web.post(f"{self.url}/REST/2.0/user", json=body))
        _answer(self.web.delete(f"{self.url}/REST/2.0/user/{user}"))

    def delete(self, number: str) -> None:
        """Set a ticket to deleted."""
        _answer(self.web.delete(f"{self.url}/REST/2.0/ticket/{number}"))


@contextmanager
def request_tracker(folder: Path) -> Iterator[RequestTracker]:
    """Start a Request Tracker of its own in an empty folder; needs Debian's packages, and root for their files."""
    assert RT_SERVER.exists(), "Request Tracker is not installed. Run `make test-rt` as root, on Debian 12."
    port = free_port()
    for name in ("mason", "session", "conf.d"):
        (folder / name).mkdir()
    (folder / "RT_SiteConfig.pm").write_text(_RT_CONFIG.format(port=port, folder=folder))
    (folder / "password").write_text("secret")
    places = {"RT_SITE_CONFIG": str(folder / "RT_SiteConfig.pm"), "RT_SITE_CONFIG_DIR": str(folder / "conf.d")}
    users = ", ".join(
        f"{{ Name => '{name}', EmailAddress => '{name}@example.com', Privileged => 1, Timezone => '{zone}' }}"
        for name, zone in RT_USERS.items()
    )
    data = folder / "data.pl"
    data.write_text(_RT_DATA.format(users=users, names=" ".join(RT_USERS), folder=folder))
    for arguments in (
        ["--action", "init", "--root-password-file", folder / "password", "--skip-create"],
        ["--action", "insert", "--datafile", data, "--skip-create"],
    ):
        done = subprocess.run(
            ["rt-setup-database-5", *map(str, arguments)],
            env={**os.environ, **places},
            capture_output=True,
            check=False,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == 0, said
        assert "[error]" not in said, said
    url = f"http://127.0.0.1:{port}"
    command = [RT_SERVER, "--host", "127.0.0.1", "--port", port, "--server", "Starlet", "--max-workers", "1"]
    with running(command, folder, url, **places):
        lines = (folder / "tokens").read_text().split()
        yield RequestTracker(url, dict(zip(lines[::2], lines[1::2], strict=True)))
