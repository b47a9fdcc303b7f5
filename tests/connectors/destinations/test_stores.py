"""Reports as files in three kinds of stores: what holds in all of them, and what is each one's own."""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import paramiko
import pytest
from s3_server import S3Server
from sftp_server import SftpServer

from connectors import (
    Column,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    Report,
    Secrets,
    load_destination,
)
from connectors.destinations import directory
from connectors.destinations.reports import ColumnType
from connectors.reach import Reach
from connectors.sources import buckets

COLUMNS = (Column("learner", "Learner"), Column("hours", "Hours to resolve", "h", type=ColumnType.NUMBER))
ROWS = [{"learner": "Ann Müller", "hours": 2.5}, {"learner": "Bob", "hours": None}]
KEY = paramiko.ECDSAKey.generate()
NAMES = ["team.csv", "team.json", "team.manifest.json", "team.parquet"]
SPAWN = multiprocessing.get_context("spawn")


def report(rows=ROWS, name="team"):
    return Report(name, "Team", "No effect.", COLUMNS, iter(rows), metadata={"program": "basics"})


class Local:
    """A folder."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.folder = tmp_path, tmp_path / "out"
        self.document = {"type": "directory", "path": "out"}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()} if self.folder.exists() else {}

    def written(self) -> dict[str, object]:
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in self.folder.iterdir()}

    def close(self) -> None:
        pass


class Sftp(Local):
    """A folder on a server."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.folder = tmp_path, tmp_path / "server" / "reports" / "new"
        (tmp_path / "server").mkdir()
        self.server = SftpServer(tmp_path / "server", [KEY])
        self.server.writable = True
        self.document = {
            "type": "sftp",
            "path": f"sftp://exports@127.0.0.1:{self.server.port}/reports/new",
            "access": {"host_key": f"{KEY.get_name()} {KEY.get_base64()}", "password": {"secret": "drop"}},
        }

    def close(self) -> None:
        self.server.close()


class S3(Local):
    """A bucket."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.server = S3Server("AKIDTEST", "s3cret")
        self.document = {
            "type": "s3",
            "path": "s3://acme-bi/reports",
            "allow_private": ["127.0.0.1"],
            "access": {
                "endpoint": self.server.url,
                "access_key_id": "AKIDTEST",
                "secret_access_key": {"secret": "drop"},
            },
        }

    def files(self) -> dict[str, bytes]:
        return {name.removeprefix("acme-bi/reports/"): data for name, data in self.server.objects.items()}

    def written(self) -> dict[str, object]:
        return {"put": len(self.server.put)}

    def close(self) -> None:
        self.server.close()


@pytest.fixture(params=[Local, Sftp, S3])
def store(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sftp(tmp_path):
    made = Sftp(tmp_path)
    yield made
    made.close()


@pytest.fixture
def s3(tmp_path):
    made = S3(tmp_path)
    yield made
    made.close()


def load(store, *, secret="s3cret", **keys):  # noqa: S107
    document = {"kind": "destination", "name": "lake", "formats": ["csv", "json", "parquet"]} | store.document | keys
    reach = Reach(Secrets({"LRS_BRIDGE_SOURCE_DROP": secret}))
    return load_destination(document, base=store.tmp_path, reach=reach)


def test_manifest_tells_what_each_file_is(store):
    receipt = load(store).push(report())

    files = store.files()
    assert (sorted(files), receipt.rows, receipt.changed) == (NAMES, 2, True)
    manifest = json.loads(files.pop("team.manifest.json"))
    assert {one["name"]: (one["bytes"], one["sha256"], one["rows"]) for one in manifest["files"]} == {
        name: (len(data), hashlib.sha256(data).hexdigest(), 2) for name, data in files.items()
    }
    assert (manifest["report"], manifest["made_from"]) == ("team", {"program": "basics"})
    assert manifest["columns"][1] == {"name": "hours", "title": "Hours to resolve", "unit": "h", "type": "number"}


def test_equal_report_is_not_written_again(store):
    load(store).push(report())
    before = store.written()

    assert not load(store).push(report()).changed
    assert store.written() == before


def test_only_what_has_changed_is_written_and_the_manifest_with_it(store):
    load(store, formats=["csv"]).push(report())
    before = store.written()

    load(store, formats=["csv", "json"]).push(report())

    assert sorted(store.files()) == ["team.csv", "team.json", "team.manifest.json"]
    if "team.csv" in before:
        assert store.written()["team.csv"] == before["team.csv"]
    else:
        assert store.server.put[2:] == ["acme-bi/reports/team.json", "acme-bi/reports/team.manifest.json"]


def test_file_that_somebody_changed_there_is_put_right(store):
    load(store).push(report())
    good = store.files()
    if isinstance(store, S3):
        store.server.objects["acme-bi/reports/team.csv"] = b"x" * len(good["team.csv"])
        store.server.metadata["acme-bi/reports/team.csv"] = {}
    else:
        (store.folder / "team.csv").write_bytes(b"x" * len(good["team.csv"]))

    assert load(store).push(report()).changed
    assert store.files() == good


def test_report_that_breaks_off_leaves_everything_as_it_was(store):
    load(store).push(report())
    before = store.files()

    with pytest.raises(ZeroDivisionError):
        load(store).push(report({"learner": "ann", "hours": 1 / n} for n in (1, 0)))

    assert store.files() == before


def _push_and_hang(document, base, rows):
    reach = Reach(Secrets({"LRS_BRIDGE_SOURCE_DROP": "s3cret"}))
    destination = load_destination(document, base=base, reach=reach)
    if document["type"] == "directory":
        os.fsync = lambda _: signal.pause()  # staged, and nothing renamed
    destination.push(report(rows))


def test_push_that_is_killed_leaves_the_old_version_whole_and_the_next_clears_up(store, monkeypatch):
    load(store).push(report())
    before = store.files()
    half_way = threading.Event()
    if isinstance(store, Sftp):
        # The second piece of the first file: paramiko sends pieces of 32 kB.
        store.server.while_written = lambda offset: offset and (half_way.set(), threading.Event().wait(0.2))
    elif isinstance(store, S3):
        store.server.before_put = lambda _: (half_way.set(), threading.Event().wait(0.2))
    rows = [{"learner": f"Learner {number}", "hours": number} for number in range(20_000)]
    document = {"kind": "destination", "name": "lake", "formats": ["csv", "json", "parquet"]} | store.document
    child = SPAWN.Process(target=_push_and_hang, args=(document, store.tmp_path, rows))
    child.start()

    if isinstance(store, S3 | Sftp):
        assert half_way.wait(60)
    else:
        while not any(path.name.endswith(".tmp") and path.stat().st_size for path in store.folder.iterdir()):
            child.join(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    assert child.exitcode == -signal.SIGKILL
    left = store.files()
    assert {name: data for name, data in left.items() if not name.startswith(".")} == before
    if not isinstance(store, S3):
        assert any(name.startswith(".") for name in left)

    if isinstance(store, Sftp):
        store.server.while_written = None
    elif isinstance(store, S3):
        store.server.before_put = None
    assert load(store).push(report(rows)).changed
    files = store.files()
    assert sorted(files) == NAMES
    assert files["team.csv"].count(b"\n") == 20_001


def test_leftovers_of_other_reports_are_left_alone(sftp):
    load(sftp).push(report())
    (sftp.folder / ".team-b.csv.0011223344556677.tmp").touch()
    (sftp.folder / ".team.csv.0011223344556677.tmp").touch()

    load(sftp).push(report())

    assert [name for name in sftp.files() if name.startswith(".")] == [".team-b.csv.0011223344556677.tmp"]


def test_reader_of_an_sftp_server_never_sees_half_a_file(sftp):
    load(sftp).push(report())
    before = sftp.files()
    seen = []
    sftp.server.while_written = lambda _: seen.append({n: d for n, d in sftp.files().items() if n[0] != "."})

    load(sftp).push(report(ROWS[:1]))

    assert seen
    assert all(one == before for one in seen)


def test_files_on_an_sftp_server_are_for_owner_and_group(sftp):
    load(sftp).push(report())

    assert {path.stat().st_mode & 0o777 for path in sftp.folder.iterdir()} == {0o640}


def test_sftp_server_that_cannot_replace_a_file_at_once_is_refused(sftp):
    sftp.server.replaces = False
    load(sftp).push(report())  # there is nothing to replace yet
    before = sftp.files()

    with pytest.raises(DestinationRefused, match=r"posix-rename@openssh\.com"):
        load(sftp).push(report(ROWS[:1]))

    assert {name: data for name, data in sftp.files().items() if name[0] != "."} == before


def test_sftp_server_that_lets_nobody_write_is_a_matter_for_its_admin(sftp):
    sftp.server.writable = False
    (sftp.tmp_path / "server/reports/new").mkdir(parents=True)

    with pytest.raises(DestinationRefused, match="may not be written by 'exports'"):
        load(sftp).push(report())


def test_full_sftp_server_is_tried_again(sftp):
    sftp.server.full = True

    with pytest.raises(DestinationUnavailable, match=r"sftp://127\.0\.0\.1"):
        load(sftp).push(report())


def test_wrong_password_is_told_without_it(store):
    if isinstance(store, Local) and not isinstance(store, Sftp | S3):
        pytest.skip("a folder has no login")

    with pytest.raises(DestinationRefused) as caught:
        load(store, secret="wr0ng-secret").push(report())

    assert "wr0ng-secret" not in str(caught.value)


def test_store_that_is_away_is_tried_again(store):
    if isinstance(store, Local) and not isinstance(store, Sftp | S3):
        pytest.skip("a folder is there or not")
    store.close()

    with pytest.raises(DestinationUnavailable):
        load(store).push(report())
    store.close = contextlib.nullcontext


def test_busy_bucket_says_when_to_come_back(s3):
    s3.server.faults = [(503, {"Retry-After": "7"}, b"SlowDown")]

    with pytest.raises(DestinationUnavailable) as caught:
        load(s3).push(report())

    assert caught.value.retry_after == 7


def test_bucket_at_a_private_address_must_be_allowed_by_name(s3):
    with pytest.raises(DestinationRefused, match="allow_private"):
        load(s3, allow_private=["other.example"]).push(report())

    assert s3.server.asked == []


def test_what_s3_does_not_take_at_once_is_refused_before_it_is_sent(s3, monkeypatch):
    monkeypatch.setattr(buckets, "MAX_OBJECT", 100)

    with pytest.raises(DestinationRefused, match="S3 takes 100 at once"):
        load(s3).push(report())

    assert s3.server.put == []


def test_signature_of_a_put_is_that_of_the_vendors_own_example():
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "PUT Object"."""
    from datetime import UTC, datetime

    made = buckets.signed(
        "https://examplebucket.s3.amazonaws.com/test%24file.text",
        buckets.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        datetime(2013, 5, 24, tzinfo=UTC),
        {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        method="PUT",
        sha256=hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
    )

    assert made["Authorization"].endswith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


@pytest.mark.parametrize(
    ("make", "keys", "path", "told"),
    [
        (S3, {"path": "https://acme/x"}, ("path",), "Write it like s3://bucket/folder/"),
        (S3, {"access": {}}, ("access",), "Nobody may write without a login"),
        (S3, {"access": {"access_key_id": "x"}}, ("access", "secret_access_key"), "belong together"),
        (S3, {"access": {"secret_access_key": "s3cret"}}, ("access", "secret_access_key"), "does not stand in a"),
        (S3, {"format": ["csv"]}, ("format",), "Did you mean 'formats'?"),
        (Sftp, {"path": "out"}, ("path",), "Write it like sftp://user@host/folder"),
        (Sftp, {"access": {"host_key": "x"}}, ("access", "host_key"), "not the key of a server"),
        (Sftp, {"formats": ["xml"]}, ("formats", 0), "There is no format 'xml'"),
    ],
)
def test_fault_in_the_document_is_told_at_its_key(tmp_path, make, keys, path, told):
    store = make(tmp_path)
    try:
        with pytest.raises(ConfigError) as caught:
            load(store, **keys)
    finally:
        store.close()

    assert [fault.path for fault in caught.value.faults][:1] == [path]
    assert told in f"{caught.value.text} {caught.value.remedy}"


def test_memory_is_flat_however_long_a_report_is(tmp_path):
    """Rows are read one by one while files are written, in any format."""
    held = []

    def rows():
        for number in range(5):
            held.append(number)
            yield {"learner": str(number), "hours": number}
            assert held == list(range(number + 1)), "rows are not read ahead"

    load(Local(tmp_path)).push(report(rows()))

    assert directory.Directory(tmp_path / "out", None).shown == str(tmp_path / "out")
    assert io.BytesIO((tmp_path / "out/team.csv").read_bytes()).readline() == b"learner,hours\r\n"
