"""Fixtures of the tests that drive a real Moodle: one site for the session, and what of us is needed against it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import moodle as machine
import pytest
from installed import free_port
from moodle import PLUGIN, ROOT, Moodle


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
