"""Several files: each read once, in order, whole; or the newest only, with what is gone from it."""

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors import Source, SourceBroken, SourceUnavailable

Put = Callable[..., Path]
HEAD = "id,owner\n"


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file into the folder of exports, so many seconds ago."""

    def put_one(name: str, content: str | bytes = "", *, age: float = 3600) -> Path:
        path = tmp_path / "exports" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (time.time() - age,) * 2)
        return path

    return put_one


class World:
    """What is stored of a source, and its problems, as the bridge keeps them."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.state: Any = None
        self.sweeps: list[Any] = []

    def pull(self, source: Source, *, pages: int | None = None) -> "World":
        self.rows, told, moved, self.sweeps = [], [], False, []
        giving = source.pull(self.state)
        for number, page in enumerate(giving, 1):
            self.rows += [(row.key, row.data["owner"]) for row in page.rows]
            told += [problem.message for problem in page.problems]
            self.sweeps += [page.sweep] if page.sweep else []
            if page.state is not None:
                self.state, moved = json.loads(json.dumps(page.state)), True
            if number == pages:
                giving.close()
                break
        if moved:
            self.problems = told
        return self


@pytest.fixture
def world() -> World:
    return World()


def keys(world: World) -> list[str]:
    return [key for key, _ in world.rows]


@pytest.mark.parametrize("path", ["exports/", "exports/tickets-*.csv", "exports/tickets-?.csv"])
def test_each_file_is_read_once_in_the_order_of_names(put, source, world, path):
    put("tickets-2.csv", HEAD + "2,bob\n", age=9000)
    put("tickets-1.csv", HEAD + "1,ann\n")
    assert keys(world.pull(source(path=path))) == ["1", "2"]

    put("tickets-3.csv", HEAD + "3,eve\n")

    assert keys(world.pull(source(path=path))) == ["3"]
    assert keys(world.pull(source(path=path))) == []


def test_other_names_hidden_files_and_folders_are_left_alone(put, source, world, tmp_path):
    put("tickets-1.csv", HEAD + "1,ann\n")
    put("users.csv", "x")
    put(".tickets-9.csv", "x")
    (tmp_path / "exports" / "tickets-0.csv").mkdir()

    assert keys(world.pull(source(path="exports/tickets-*.csv"))) == ["1"]


def test_links_are_followed_within_the_folder_only(put, source, world, tmp_path):
    put("a.csv", HEAD + "1,ann\n")
    secret = tmp_path / "secret.csv"
    secret.write_text(HEAD + "2,bob\n")
    os.utime(secret, (time.time() - 3600,) * 2)
    (tmp_path / "exports" / "b.csv").symlink_to(tmp_path / "exports" / "a.csv")
    (tmp_path / "exports" / "c.csv").symlink_to(secret)

    assert keys(world.pull(source(path="exports/"))) == ["1", "1"]


def test_brackets_in_a_pattern_are_what_they_are(put, source, world):
    put("a[1]-1.csv", HEAD + "1,ann\n")
    put("a1-1.csv", HEAD + "2,ann\n")

    assert keys(world.pull(source(path="exports/a[1]-*.csv"))) == ["1"]


def test_file_that_is_written_anew_is_read_again_unless_its_bytes_are_the_same(put, source, world, tmp_path):
    put("a.csv", HEAD + "1,ann\n")
    put("b.csv", HEAD + "2,bob\n")
    world.pull(source(path="exports/"))
    put("a.csv", HEAD + "1,eve\n", age=100)
    put("b.csv", HEAD + "2,bob\n", age=100)

    assert world.pull(source(path="exports/")).rows == [("1", "eve")]
    versions = {Path(path).name: read["version"] for path, read in world.state["files"].items()}
    assert versions["b.csv"] == str((tmp_path / "exports" / "b.csv").stat().st_mtime_ns)  # not to be read again


def test_killed_pull_goes_on_with_the_first_file_that_was_not_read_whole(put, source, world):
    put("a.csv", HEAD + "1,ann\n")
    put("b.csv", HEAD + "".join(f"{number},bob\n" for number in range(2500)))
    put("c.csv", HEAD + "3,eve\n")
    world.pull(source(path="exports/"), pages=2)  # all of a, a page of b

    assert len(keys(world.pull(source(path="exports/")))) == 2501


def test_file_that_was_moved_away_is_forgotten_and_read_when_it_is_back(put, source, world):
    path = put("a.csv", HEAD + "1,ann\n")
    world.pull(source(path="exports/"))
    path.unlink()
    put("b.csv", HEAD + "2,bob\n")
    assert keys(world.pull(source(path="exports/"))) == ["2"]
    assert len(world.state["files"]) == 1

    put("a.csv", HEAD + "1,ann\n")

    assert keys(world.pull(source(path="exports/"))) == ["1"]


def test_empty_folder_is_told_before_the_first_file_and_not_after(put, source, world):
    path = put("a.csv", HEAD + "1,ann\n")
    with pytest.raises(SourceUnavailable, match=r"exports/b\*\.csv\. Wait for the export"):
        world.pull(source(path="exports/b*.csv"))
    with pytest.raises(SourceUnavailable, match="There is no file"):
        world.pull(source(path="nix/"))
    world.pull(source(path="exports/"))
    path.unlink()

    assert keys(world.pull(source(path="exports/"))) == []


def test_compression_goes_by_the_ending_of_each_file(put, source, world):
    put("a.csv", HEAD + "1,ann\n")
    put("b.csv.gz", gzip.compress((HEAD + "2,bob\n").encode()))

    assert keys(world.pull(source(path="exports/"))) == ["1", "2"]


def test_file_that_was_changed_a_moment_ago_holds_up_what_comes_after_it(put, source, world):
    put("a.csv", HEAD + "1,ann\n")
    put("b.csv", HEAD + "2,bob\n", age=5)
    put("c.csv", HEAD + "3,eve\n")

    with pytest.raises(SourceUnavailable, match=r"b\.csv is still being written: it was changed \d+ s ago") as caught:
        world.pull(source(path="exports/"))

    assert 20 < caught.value.retry_after <= 30
    put("b.csv", HEAD + "2,bob\n4,dan\n")
    assert keys(world.pull(source(path="exports/"))) == ["2", "4", "3"]  # a was stored before the error


def test_marker_says_when_a_file_is_whole(put, source, world):
    put("a.csv", HEAD + "1,ann\n", age=2)
    put("a.csv.done", age=1)
    put("b.csv", HEAD + "2,bob\n")
    exports = source(path="exports/", done="{path}.done")

    with pytest.raises(SourceUnavailable, match=r"b\.csv is still being written: .*b\.csv\.done is not there yet"):
        world.pull(exports)
    put("b.csv.done", age=7200)
    with pytest.raises(SourceUnavailable, match="is older than it"):
        world.pull(exports)
    put("b.csv.done")

    assert keys(world.pull(exports)) == ["2"]


def test_marker_of_a_single_file(put, source, world):
    put("a.csv", HEAD + "1,ann\n", age=2)
    one = source(path="exports/a.csv", done="{path}.done")
    with pytest.raises(SourceUnavailable, match="is not there yet"):
        world.pull(one)
    put("a.csv.done", age=0)

    assert keys(world.pull(one)) == ["1"]
    assert keys(world.pull(one)) == []


def test_problems_name_their_file_and_are_told_until_it_is_mended(put, source, world):
    put("a.csv", HEAD + "1,ann\n,bob\n")
    exports = source(path="exports/")
    world.pull(exports)
    assert [told[:7] for told in world.problems] == ["a.csv: "]

    put("b.csv", HEAD + "2,bob\n")
    world.pull(exports)
    assert [told[:7] for told in world.problems] == ["a.csv: "]

    put("a.csv", HEAD + "1,ann\n3,bob\n", age=100)
    assert world.pull(exports).problems == []


def test_broken_file_stops_at_itself(put, source, world):
    put("a.csv", HEAD + "1,ann\n")
    put("b.csv", "nix\n1\n")
    put("c.csv", HEAD + "3,eve\n")

    with pytest.raises(SourceBroken, match=r"b\.csv has no column 'id'"):
        world.pull(source(path="exports/"))

    assert list(world.state["files"]) == [str(put("a.csv", HEAD + "1,ann\n"))]


# The newest only


def test_newest_file_is_the_last_by_name(put, source, world):
    newest = source(path="exports/all-*.csv", read="newest")
    put("all-01.csv", HEAD + "1,ann\n")
    put("all-02.csv", HEAD + "1,bob\n", age=9000)
    assert world.pull(newest).rows == [("1", "bob")]
    assert world.pull(newest).rows == []

    put("all-03.csv", HEAD + "1,eve\n")

    assert world.pull(newest).rows == [("1", "eve")]
    assert len(world.state["files"]) == 1


def test_while_the_newest_is_written_the_one_before_it_counts(put, source, world):
    newest = source(path="exports/all-*.csv", read="newest")
    put("all-01.csv", HEAD + "1,ann\n")
    put("all-02.csv", HEAD, age=3)

    with pytest.raises(SourceUnavailable, match=r"all-02\.csv is still being written"):
        world.pull(newest)

    assert world.rows == [("1", "ann")]
    assert [Path(path).name for path in world.state["files"]] == ["all-01.csv"]


def test_problems_of_the_newest_file_replace_those_of_the_one_before(put, source, world):
    newest = source(path="exports/all-*.csv", read="newest")
    put("all-01.csv", HEAD + ",ann\n1,ann\n")
    world.pull(newest)
    put("all-02.csv", HEAD + "1,ann\n")

    assert world.pull(newest).problems == []


# What is gone


@pytest.mark.parametrize("shape", [{"path": "exports/all-01.csv"}, {"path": "exports/all-*.csv", "read": "newest"}])
def test_full_export_names_all_records(put, source, world, shape):
    put("all-01.csv", HEAD + "".join(f"{number},bob\n" for number in range(2500)))

    world.pull(source(**shape, deleted={"type": "sweep", "at_most": 0.5}))

    assert sorted(key for sweep in world.sweeps for key in sweep.keys) == sorted(map(str, range(2500)))
    assert [sweep.complete for sweep in world.sweeps] == [False, False, True]
    assert {(sweep.number, sweep.cursor, sweep.at_most) for sweep in world.sweeps} == {
        (world.sweeps[0].number, None, 0.5)
    }


@pytest.mark.parametrize("bad", [0, 2499])
def test_export_with_a_row_that_cannot_be_read_says_nothing_of_what_is_gone(put, source, world, bad):
    put("all.csv", HEAD + "".join(f"{'' if number == bad else number},bob\n" for number in range(2500)))

    world.pull(source(path="exports/all.csv", deleted={"type": "sweep"}))

    assert not any(sweep.complete for sweep in world.sweeps)


def test_each_pass_has_a_number_of_its_own(put, source, world):
    put("all.csv", HEAD + "1,ann\n")
    first = world.pull(source(path="exports/all.csv", deleted={"type": "sweep"})).sweeps
    put("all.csv", HEAD + "2,ann\n", age=60)
    second = world.pull(source(path="exports/all.csv", deleted={"type": "sweep"})).sweeps

    assert first[0].number != second[0].number


def test_export_that_was_written_a_moment_ago_is_not_believed_to_be_whole(put, source, world):
    put("all.csv", HEAD + "1,ann\n", age=3)

    with pytest.raises(SourceUnavailable, match=r"it was changed \d+ s ago"):
        world.pull(source(path="exports/all.csv", deleted={"type": "sweep"}))
    assert keys(world.pull(source(path="exports/all.csv"))) == ["1"]  # who sweeps nothing loses nothing


def test_without_deleted_nothing_is_swept(put, source, world):
    put("all.csv", HEAD + "1,ann\n")

    assert world.pull(source(path="exports/all.csv")).sweeps == []
    assert World().pull(source(path="exports/all.csv", deleted={"type": "none"})).sweeps == []
