"""`lrs-bridge source login`: from the address that is printed to tokens that pulls use, against a real OAuth server."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from cryptography.fernet import Fernet
from oauth_server import OAuthServer, oauth_server
from sqlalchemy import text

from bridge import context, jobs, sources
from bridge.commands.login import login
from connectors import SourceRefused
from lrs import db

DOCUMENT = """\
kind: source
name: desk
type: rest
base_url: {url}/api
allow_private: [127.0.0.1]
auth:
  type: authorization_code
  authorize_url: {url}/authorize
  token_url: {url}/token
  client_id: lrs-bridge
  client_secret: {{secret: desk-client}}
  scope: tickets offline_access
  redirect: {redirect}
  parameters: {{prompt: consent}}
request: {{path: /tickets}}
page: {{type: single}}
records: tickets
key: id
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_DESK_CLIENT", "cl1ent-s3cret")
    with oauth_server() as running:
        running.knows.tickets = [{"id": 1}, {"id": 2}]
        running.knows.prefix = "canary-"
        yield running


@pytest.fixture
def redirect(unused_port: int) -> str:
    return f"http://127.0.0.1:{unused_port}/callback"


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def desk(company, server, redirect) -> OAuthServer:
    settings = context.settings()
    context.keep(company.app, dataclasses.replace(settings, token_keys=(Fernet.generate_key().decode(),)))
    company.write("desk.yaml", DOCUMENT.format(url=server.url, redirect=redirect))
    jobs.load_documents()
    return server


class Browser(threading.Thread):
    """Waits for the address in the command's output, lets `visit` make of it where to go, and goes there."""

    def __init__(self, visit: Callable[[str], str]) -> None:
        super().__init__()
        self.visit, self.seen, self.address = visit, threading.Event(), ""
        self.pages: list[tuple[int, str]] = []

    def shown(self, message: object = "", **_: object) -> None:
        if found := re.search(r"https?://\S+/authorize\?\S+", str(message)):
            self.address = found[0]
            self.seen.set()

    def run(self) -> None:
        assert self.seen.wait(10)
        for address in self.visit(self.address).split():
            self.go(address)

    def go(self, address: str) -> None:
        for _ in range(100):
            try:
                with urllib.request.urlopen(address, timeout=5) as response:
                    self.pages.append((response.status, response.read().decode()))
                    return
            except HTTPError as err:
                self.pages.append((err.code, err.read().decode()))
                err.close()
                return
            except OSError:
                time.sleep(0.05)  # the command does not listen yet


@pytest.fixture
def log_in(desk, lrs_bridge, monkeypatch) -> Callable[..., tuple[click.testing.Result, Browser]]:
    """Run the command with a browser that does as `visit` says; by default the person agrees."""

    def run(visit: Callable[[str], str] | None = None, *options: str) -> tuple[click.testing.Result, Browser]:
        browser = Browser(visit or desk.visit)
        echo = click.echo

        def tell(message: object = None, **keys: object) -> None:
            echo(message, **keys)
            browser.shown(message)

        monkeypatch.setattr("bridge.commands.login.click.echo", tell)
        browser.start()
        result = lrs_bridge("source", "login", "desk", *options)
        browser.join()
        return result, browser

    return run


def pull() -> str | None:
    jobs.pull("desk")
    return sources.state(db.session, "desk").last_error


def kept() -> dict[str, str] | None:
    reach = context.reach()
    assert reach.tokens
    return reach.tokens.read("desk")


def test_login_is_kept_and_pulls_go_on_by_it(desk, log_in):
    assert "Run `lrs-bridge source login desk`" in str(pull())

    result, browser = log_in(None, "--json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["account"], told["good_until"]) == ("ann@example.com", "it is ended there")
    assert browser.pages[0][0] == 200
    asked = {name: values[0] for name, values in parse_qs(urlsplit(browser.address).query).items()}
    assert (asked["scope"], asked["prompt"]) == ("tickets offline_access", "consent")
    assert pull() is None
    desk.knows.access.clear()
    assert pull() is None  # by the refresh token, which was rotated
    desk.knows.access.clear()
    assert pull() is None
    assert [form["grant_type"] for form in desk.knows.forms] == ["authorization_code", *["refresh_token"] * 2]


def test_tokens_stand_nowhere_in_the_clear(desk, log_in, caplog):
    caplog.set_level("DEBUG")

    result, browser = log_in()

    tables = db.session.scalars(text("select table_name from information_schema.tables where table_schema = 'public'"))
    stored = "".join(str(list(db.session.execute(text(f"select t::text from {one} t")))) for one in tables)  # noqa: S608
    assert "desk" in stored
    assert "canary-" not in result.output + caplog.text + stored + str(browser.pages)


def test_answer_to_another_login_is_sent_away_and_the_right_one_waited_for(desk, log_in):
    def visit(address: str) -> str:
        right = desk.visit(address)
        forged = re.sub("state=[^&]*", "state=forged", right)
        elsewhere = right.replace("/callback", "/favicon.ico")
        return f"{elsewhere} {forged} {right}"

    result, browser = log_in(visit)

    assert result.exit_code == 0
    assert [status for status, _ in browser.pages] == [404, 400, 200]
    assert "sent away" in result.stderr


def test_person_who_says_no_is_told(desk, log_in):
    desk.knows.denies = True

    result, _ = log_in()

    assert result.exit_code == 1
    assert "access_denied: The person said no" in result.stderr
    assert "Nobody has logged in" in str(pull())


def test_code_that_has_ended_is_told(desk, log_in):
    desk.knows.code_life = -1

    result, _ = log_in()

    assert result.exit_code == 1
    assert "log in again" in result.stderr


def test_code_of_somebody_else_is_of_no_use(desk, log_in):
    """With PKCE a stolen code cannot be redeemed, nor can a thief's be slipped in."""

    def visit(address: str) -> str:
        return desk.visit(re.sub("code_challenge=[^&]*", "code_challenge=another", address))

    assert log_in(visit)[0].exit_code == 1


def test_nobody_who_comes_is_waited_for_so_long(desk, log_in):
    result, _ = log_in(lambda _: "", "--wait", "1")

    assert result.exit_code == 1
    assert "Nobody came within 1 s" in result.stderr


def test_port_that_is_taken_is_told(desk, lrs_bridge, unused_port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unused_port))
        taken.listen()
        result = lrs_bridge("source", "login", "desk")

    assert result.exit_code == 2
    assert "--paste" in result.stderr


@pytest.mark.parametrize("whole", [True, False])
def test_address_can_be_pasted(desk, company, monkeypatch, redirect, whole):
    pasted = []

    def prompt(told: str, **_: object) -> str:
        assert redirect in told
        address = desk.visit(printed[0])
        pasted.append(address if whole else address.partition("?")[2])
        return pasted[0]

    printed: list[str] = []
    monkeypatch.setattr("bridge.commands.login.click.prompt", prompt)
    read = lambda told="", **_: printed.extend(re.findall(r"http\S+authorize\S+", told))  # noqa: E731
    monkeypatch.setattr("bridge.commands.login.click.echo", read)
    monkeypatch.setattr("bridge.app.create_app", lambda _: company.app)
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)

    login.main(["desk", "--paste"], standalone_mode=False)

    assert kept()["refresh_token"].startswith("canary-refresh")


def test_pasted_answer_to_another_login_is_refused(desk, company, monkeypatch):
    monkeypatch.setattr("bridge.commands.login.click.prompt", lambda *_, **__: "http://127.0.0.1/?code=x&state=y")
    monkeypatch.setattr("bridge.app.create_app", lambda _: company.app)
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)

    with pytest.raises(SourceRefused, match="not the answer to this login"):
        login.main(["desk", "--paste"], standalone_mode=False)

    assert desk.knows.forms == []


def test_redirect_that_is_elsewhere_needs_to_be_pasted(desk, company, lrs_bridge):
    company.write("desk.yaml", DOCUMENT.format(url=desk.url, redirect="https://bridge.example.com/callback"))

    result = lrs_bridge("source", "login", "desk")

    assert result.exit_code == 2
    assert "Add --paste" in result.stderr


def test_without_keys_nobody_logs_in_in_vain(desk, company, lrs_bridge):
    context.keep(company.app, dataclasses.replace(context.settings(), token_keys=()))

    result = lrs_bridge("source", "login", "desk", "--wait", "5")

    assert result.exit_code == 1
    assert "LRS_BRIDGE_TOKEN_KEYS" in result.stderr
    assert desk.knows.codes == {}


def test_source_that_signs_in_by_itself_has_no_login(desk, company, lrs_bridge):
    document = DOCUMENT.format(url=desk.url, redirect="x")
    company.write("desk.yaml", re.sub("auth:.*?(?=request)", "auth: {type: none}\n", document, flags=re.DOTALL))

    result = lrs_bridge("source", "login", "desk")

    assert result.exit_code == 1
    assert "signs in by itself" in result.stderr


def test_login_that_is_used_up_elsewhere_is_told(desk, log_in):
    log_in()
    desk.knows.access.clear()
    desk.knows.refresh = dict.fromkeys(desk.knows.refresh, False)  # ended by the vendor's admin

    assert "The login cannot be renewed. Run `lrs-bridge source login desk`." in str(pull())

    log_in()
    assert pull() is None


KILLED = """
import os, sys
from bridge import context, jobs
from bridge.app import create_app
from bridge.settings import Settings
from bridge.tokens import TokenStore

when = sys.argv[1]
write = TokenStore.write

def killing(self, name, tokens):
    if when == "after":
        write(self, name, tokens)
    os.kill(os.getpid(), 9)

TokenStore.write = killing
app = create_app(Settings.from_env())
with app.app_context():
    jobs.pull("desk")
"""


@pytest.mark.parametrize("when", ["after", "before"])
def test_process_that_is_killed_while_it_renews(desk, log_in, when):
    """After the tokens were stored nothing is lost; before it the login is, which is told with its remedy."""
    log_in()
    desk.knows.access.clear()
    env = os.environ | context.settings().to_mapping() | {"LRS_BRIDGE_SOURCE_DESK_CLIENT": "cl1ent-s3cret"}

    killed = subprocess.run([sys.executable, "-c", KILLED, when], env=env, capture_output=True, check=False, timeout=60)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert desk.knows.forms[-1]["grant_type"] == "refresh_token"
    if when == "after":
        assert pull() is None
        return
    assert "Run `lrs-bridge source login desk`" in str(pull())  # and the lock is free: it went with the process
    log_in()
    assert pull() is None
