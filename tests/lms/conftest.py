"""Fixtures of the tests that drive a real Moodle: one site for the session, and what of us is needed against it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import moodle as machine
import pytest
from installed import free_port
from moodle import PLUGIN, ROOT, Moodle
from pages import Visit, visitor


@pytest.fixture(scope="session")
def moodle() -> Iterator[Moodle]:
    """A Moodle made from the directory in MOODLE; kept in `.moodle`, so that the next run finds it installed."""
    source = os.environ.get("MOODLE")
    if not source:
        pytest.fail("Which Moodle? Give the directory of its source: make moodle MOODLE=/path/to/moodle")
    if shutil.which("php") is None:
        pytest.fail("There is no PHP here. Install it with what Moodle needs: tests/lms/moodle.py names the packages.")
    folder = Path(os.environ.get("LRS_BRIDGE_MOODLE_AT", ROOT / ".moodle")).resolve()
    with machine.running(Path(source).resolve(), folder, port=free_port(), plugin=PLUGIN, fresh=True) as running:
        yield running


@pytest.fixture(scope="session")
def shots(moodle: Moodle) -> Path:
    """Where pictures are kept of what people saw: LRS_BRIDGE_SHOTS, else `shots` beside the Moodle."""
    folder = Path(os.environ.get("LRS_BRIDGE_SHOTS", moodle.folder / "shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(moodle: Moodle, shots: Path, tmp_path: Path) -> Iterator[Visit]:
    """Let somebody come with a browser of their own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(visitor(moodle, name, tmp_path / f"profile-{name}", shots))
