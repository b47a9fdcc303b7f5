"""Where large attachments lie: the same rules for a directory and for a store that speaks S3."""

import os
import shutil
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lrs import files
from lrs.errors import Unavailable
from lrs.files import Directory, Files

NAME = "ab" * 32
SOON = timedelta(minutes=1)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A real S3 server of the test session's own: `pip install moto[s3,server]`, in an environment beside this one."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("there is no moto_server on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _make_bucket(url, server)
        yield url
    finally:
        server.terminate()
        server.wait()


def _make_bucket(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        if server.poll() is not None:
            pytest.skip("moto_server does not run here")
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{url}/attachments", method="PUT")):
                return
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    pytest.fail("moto_server does not answer")


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    if request.param == "directory":
        return files.at(str(tmp_path / "attachments"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return files.at(f"s3://attachments/{tmp_path.name}")


@pytest.mark.parametrize("size", [1, 3_000_000, 12_000_000])  # the last one goes to a bucket in pieces
def test_what_was_put_is_read_piece_by_piece(place: Files, size: int) -> None:
    data = os.urandom(size)

    place.put(NAME, memoryview(data))

    assert b"".join(place.read(NAME, start, min(1 << 20, size - start)) for start in range(0, size, 1 << 20)) == data


def test_same_file_put_twice_is_one(place: Files) -> None:
    for _ in range(2):
        place.put(NAME, memoryview(b"data"))

    assert list(place.before(datetime.now(UTC) + SOON)) == [NAME]
    assert place.read(NAME, 0, 4) == b"data"


def test_names_are_those_of_old_files(place: Files) -> None:
    place.put(NAME, memoryview(b"data"))

    assert list(place.before(datetime.now(UTC) - SOON)) == []


def test_removed_file_is_gone_and_removing_it_again_is_no_error(place: Files) -> None:
    place.put(NAME, memoryview(b"data"))

    for _ in range(2):
        place.remove(NAME)

    assert list(place.before(datetime.now(UTC) + SOON)) == []


def test_missing_file_is_unavailable(place: Files) -> None:
    with pytest.raises(Unavailable):
        place.read(NAME, 0, 4)


def test_place_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "attachments").write_text("in the way")

    with pytest.raises(Unavailable):
        files.at(str(tmp_path / "attachments")).put(NAME, memoryview(b"data"))


def test_file_is_synced_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what `put` has given back from is there after a crash, and whole."""
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    place = Directory(tmp_path / "attachments")
    place.put("ab" + "0" * 62, memoryview(b"first"))
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)

    place.put(NAME, memoryview(b"data"))

    assert steps == ["sync file", "rename", "sync directory"]


def test_unfinished_file_has_not_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    place = Directory(tmp_path)
    (tmp_path / "ab").mkdir()

    with pytest.raises(KeyboardInterrupt):
        place.put(NAME, memoryview(b"data"))

    assert not (tmp_path / "ab" / NAME).exists()
    assert len(list(place.before(datetime.now(UTC) + SOON))) == 1  # left for the sweep
