"""Importing and exporting as processes of their own: killed at any moment, and no larger for more statements."""

import gzip
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from trees import COMMAND, on_own_database, wait_until

from bridge.embedded import Servers

pytestmark = pytest.mark.slow

FLAT_BYTES = 30_000_000
FEW, MANY = 1_000, 10_000


@pytest.fixture
def env(servers: Servers, tmp_path: Path) -> dict[str, str]:
    """A database of this test's own."""
    return on_own_database(servers, "bulk", tmp_path / "data")


def written(path: Path, count: int, *, array: bool) -> Path:
    """Write a file of statements without ids, of some 1 kB."""
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("[" if array else "")
        for number in range(count):
            one = {
                "actor": {"account": {"homePage": "http://lms.example.com", "name": str(number % 500)}},
                "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
                "object": {"id": f"http://lms.example.com/course/{number % 50}"},
                "context": {"extensions": {"http://lms.example.com/n": number, "http://lms.example.com/x": "x" * 700}},
            }
            file.write((",\n" if array and number else "") + json.dumps(one) + ("" if array else "\n"))
        file.write("]" if array else "")
    return path


def command(*arguments: str | Path) -> list[str]:
    return [*COMMAND, "statement", *map(str, arguments)]


def stored(env: dict[str, str]) -> int:
    engine = create_engine(env["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            if not connection.scalar(text("select to_regclass('statement')")):
                return 0
            return connection.scalar(text("select count(*) from statement")) or 0
    finally:
        engine.dispose()


def test_an_import_that_is_killed_again_and_again_stores_every_statement_once(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = written(tmp_path / "file.gz", MANY, array=True)

    for _ in range(3):
        before = stored(env)
        process = subprocess.Popen(command("import", file), env=env, stdout=subprocess.DEVNULL)
        wait_until(lambda before=before: stored(env) > before, "some more are stored")
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(command("import", file, "--json"), env=env, capture_output=True, check=True, timeout=120)

    summary = json.loads(last.stdout)
    assert summary["resumed_at"] >= 3 * 500
    assert (summary["stored"], summary["already_stored"]) == (MANY, 0)
    assert stored(env) == MANY


def test_a_reader_that_has_enough_ends_an_export_in_peace(env: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(command("import", written(tmp_path / "file.gz", FEW, array=False)), env=env, check=True, timeout=60)

    export = subprocess.Popen(command("export"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert export.stdout is not None
    assert export.stderr is not None
    export.stdout.readline()
    export.stdout.close()

    assert export.wait(30) == 1
    assert export.stderr.read() == b""
    export.stderr.close()


def peak_bytes(arguments: list[str], env: dict[str, str]) -> int:
    """Run a command and give the most memory that it ever held."""
    process = subprocess.Popen(arguments, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize("array", [False, True], ids=["lines", "array"])
def test_memory_is_the_same_for_ten_times_as_many(env: dict[str, str], tmp_path: Path, *, array: bool) -> None:
    few, many = (written(tmp_path / f"{count}.gz", count, array=array) for count in (FEW, MANY))

    for_few = peak_bytes(command("import", few), env), peak_bytes(command("export", "--out", tmp_path / "few"), env)
    for_many = peak_bytes(command("import", many), env), peak_bytes(command("export", "--out", tmp_path / "many"), env)

    assert for_many[0] - for_few[0] < FLAT_BYTES
    assert for_many[1] - for_few[1] < FLAT_BYTES
