"""Files on an SFTP server: from no other server, whole, each once."""

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from sftp_server import SftpServer

from connectors import Secrets, Source, SourceRefused, SourceUnavailable, load_source
from connectors.reach import Reach

HEAD = "id,owner\n"
KEYS = [paramiko.RSAKey.generate(2048), paramiko.ECDSAKey.generate()]


def line(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def written(key: paramiko.PKey, password: str | None = None) -> str:
    text = io.StringIO()
    key.write_private_key(text, password)
    return text.getvalue()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    root = tmp_path / "server"
    (root / "exports").mkdir(parents=True)
    made = SftpServer(root, KEYS)
    yield made
    made.close()


@pytest.fixture
def put(server: SftpServer) -> Callable[..., Path]:
    def put_one(name: str, content: str, *, age: float = 3600) -> Path:
        path = server.root / "exports" / name
        path.write_text(content)
        os.utime(path, (time.time() - age,) * 2)
        return path

    return put_one


@pytest.fixture
def load(server: SftpServer, tmp_path: Path) -> Callable[..., Source]:
    def make(path: str = "exports/a.csv", *, secret: str = "s3cret", **keys: Any) -> Source:  # noqa: S107
        document = {
            "kind": "source",
            "name": "tickets",
            "type": "csv",
            "path": f"sftp://exports@127.0.0.1:{server.port}/{path}",
            "access": {"host_key": line(KEYS[0]), "password": {"secret": "sftp"}},
            "key": "id",
        }
        env = {"LRS_BRIDGE_SOURCE_SFTP": secret, "LRS_BRIDGE_SOURCE_LOCK": "l0ck"}
        return load_source(document | keys, base=tmp_path, reach=Reach(Secrets(env)))

    return make


def test_file_is_read_and_read_again_only_when_it_has_changed(server, put, load, pull):
    put("a.csv", HEAD + "1,ann\n")
    pulled = pull(load())
    assert [row.key for row in pulled.rows] == ["1"]

    server.asked.clear()
    assert pull(load(), pulled.state).pages == 0
    assert {what for what, _ in server.asked} == {"stat"}

    put("a.csv", HEAD + "1,eve\n", age=60)
    assert [row.data["owner"] for row in pull(load(), pulled.state).rows] == ["eve"]


def test_pattern_reads_each_file_once(server, put, load, pull):
    put("t-1.csv", HEAD + "1,ann\n")
    put("t-2.csv", HEAD + "2,ann\n")
    (server.root / "exports" / "t-3.csv").symlink_to(server.root / "exports" / "t-1.csv")
    (server.root / "exports" / "t-4.csv").mkdir()
    put("u.csv", "x")
    pulled = pull(load("exports/t-*.csv"))
    assert [row.key for row in pulled.rows] == ["1", "2", "1"]
    server.asked.clear()

    assert pull(load("exports/t-*.csv"), pulled.state).pages == 0
    assert not [path for what, path in server.asked if what == "open"]


def test_large_file_comes_whole(put, load, pull):
    put("a.csv", HEAD + "".join(f"{number},{'x' * 100}\n" for number in range(20_000)))

    assert len(pull(load()).rows) == 20_000


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.get_name())
def test_server_may_be_known_by_any_of_its_keys(put, load, pull, key):
    put("a.csv", HEAD + "1,ann\n")

    assert pull(load(access={"host_key": line(key), "password": {"secret": "sftp"}})).rows


def test_other_server_is_refused_before_it_sees_a_secret(server, put, load, pull):
    put("a.csv", HEAD + "1,ann\n")
    other = paramiko.RSAKey.generate(2048)

    with pytest.raises(SourceRefused, match=r"shows another key than `access\.host_key`: ssh-rsa AAAA"):
        pull(load(access={"host_key": line(other), "password": {"secret": "sftp"}}))
    with pytest.raises(SourceRefused, match="no key of the type"):
        pull(load(access={"host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "password": {"secret": "sftp"}}))

    assert server.passwords == []


def test_wrong_password_is_refused_and_shown_nowhere(server, put, load, pull, caplog, capfd):
    put("a.csv", HEAD + "1,ann\n")
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceRefused, match="does not let 'exports' in") as caught:
        pull(load(secret="wr0ng"))

    assert server.passwords == ["wr0ng"]
    assert "wr0ng" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("locked", [None, "l0ck"])
def test_private_key_lets_in(server, put, load, pull, locked):
    put("a.csv", HEAD + "1,ann\n")
    server.user_key = paramiko.ECDSAKey.generate()
    access = {"host_key": line(KEYS[0]), "private_key": {"secret": "sftp"}}
    if locked:
        access["password"] = {"secret": "lock"}
    source = load(access=access, secret=written(server.user_key, locked))

    assert pull(source).rows
    assert server.passwords == []


def test_private_key_that_is_none_or_locked_is_told(server, put, load, pull):
    key = paramiko.ECDSAKey.generate()
    access = {"host_key": line(KEYS[0]), "private_key": {"secret": "sftp"}}
    with pytest.raises(SourceRefused, match="is no private key that can be read"):
        pull(load(access=access, secret="s3cret"))
    with pytest.raises(SourceRefused, match=r"is no private key that can be read|is locked"):
        pull(load(access=access, secret=written(key, "other")))


def test_file_that_grows_while_it_is_read_is_left_for_later(server, put, load, pull):
    put("a.csv", HEAD + "1,ann\n")
    server.while_read = lambda path: path.write_text(HEAD + "1,ann\n2,bob\n")

    with pytest.raises(SourceUnavailable, match="it changed while it was read"):
        pull(load())


@pytest.mark.parametrize("path", ["exports/a.csv", "exports/"])
def test_file_that_was_changed_a_moment_ago_is_left_for_later(put, load, pull, path):
    put("a.csv", HEAD + "1,ann\n", age=3)

    with pytest.raises(SourceUnavailable, match=r"it was changed \d+ s ago"):
        pull(load(path))


def test_marker_is_looked_for(put, load, pull):
    put("a.csv", HEAD + "1,ann\n", age=3)
    with pytest.raises(SourceUnavailable, match=r"a\.csv\.ok is not there yet"):
        pull(load("exports/*.csv", done="{path}.ok"))
    put("a.csv.ok", "", age=2)

    assert pull(load("exports/*.csv", done="{path}.ok")).rows


def test_what_is_missing_or_forbidden_is_told(server, put, load, pull):
    with pytest.raises(SourceUnavailable, match=r"There is no file sftp://127\.0\.0\.1/exports/a\.csv"):
        pull(load())
    with pytest.raises(SourceUnavailable, match=r"There is no sftp://127\.0\.0\.1/nix"):
        pull(load("nix/"))
    put("a.csv", HEAD + "1,ann\n")
    server.forbidden.add("/exports/a.csv")
    with pytest.raises(SourceRefused, match="may not be read by 'exports'"):
        pull(load())


def test_server_that_is_away_is_unavailable(server, load, pull):
    source = load()
    server.close()

    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        pull(source)


def test_without_paramiko_the_extra_is_named(load, pull, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)

    with pytest.raises(SourceRefused, match=r"pip install 'lrs-bridge\[sftp\]'"):
        pull(load())


def test_check_and_sample(put, load):
    put("a.csv", HEAD + "1,ann\n2,bob\n")

    assert {one.state for one in load().check()} <= {"ok", "skipped"}
    assert len(load().sample(1).rows) == 1
    [first, *_] = load(secret="wr0ng").check()
    assert first.state == "failed"
