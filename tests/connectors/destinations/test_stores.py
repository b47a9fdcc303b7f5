"""Reports as files: what holds in a folder, on an SFTP server and in a bucket alike."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import weakref

import pytest
from report_stores import NAMES, S3, Local, Sftp, load, report

from connectors import DestinationRefused, DestinationUnavailable, Secrets, load_destination
from connectors.reach import Reach

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=[Local, Sftp, S3])
def store(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.close()


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


def _push_and_hang(document, base, rows):
    reach = Reach(Secrets({"LRS_BRIDGE_SOURCE_DROP": "s3cret"}))
    destination = load_destination(document, base=base, reach=reach)
    if document["type"] == "directory":
        os.fsync = lambda _: signal.pause()  # staged, and nothing renamed
    destination.push(report(rows))


def test_push_that_is_killed_leaves_the_old_version_whole_and_the_next_clears_up(store, monkeypatch):
    load(store).push(report())
    before = store.files()
    half_way, gone = threading.Event(), threading.Event()
    if isinstance(store, Sftp):
        # The second piece of the first file: paramiko sends pieces of 32 kB.
        store.server.while_written = lambda offset: offset and (half_way.set(), gone.wait(60))
    elif isinstance(store, S3):
        store.server.before_put = lambda _: (half_way.set(), gone.wait(60))
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
    gone.set()

    assert child.exitcode == -signal.SIGKILL
    left = store.files()
    shown = {name: data for name, data in left.items() if not name.startswith(".")}
    if not isinstance(store, S3):
        assert shown == before
        assert len(left) > len(before)

    if isinstance(store, Sftp):
        store.server.while_written = None
    elif isinstance(store, S3):
        store.server.before_put = None
    assert load(store).push(report(rows)).changed
    files = store.files()
    assert sorted(files) == NAMES
    assert files["team.csv"].count(b"\n") == 20_001
    # A whole body may have been on the wire when its sender was killed: then the object is the new one.
    assert shown.keys() == before.keys()
    assert all(data in (before[name], files[name]) for name, data in shown.items())


class _Row(dict):
    """One that can be watched."""

    __hash__ = object.__hash__


def test_rows_are_let_go_once_they_are_written(tmp_path):
    alive: weakref.WeakSet[_Row] = weakref.WeakSet()

    def rows():
        for number in range(1_000):
            row = _Row(learner=str(number), hours=number)
            alive.add(row)
            yield row
            assert len(alive) <= 2

    assert load(Local(tmp_path)).push(report(rows())).rows == 1_000
