"""`lrs-bridge attachment sweep`."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from xapi_samples import sha256

import lrs
from bridge import context
from bridge.cli import commands


@pytest.fixture
def sweep(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run the command in this process, on the test's servers."""
    before = context.settings()
    for variable, value in before.to_mapping().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("bridge.app.create_app", lambda _: app)

    def run(*arguments: str, place: Path | None = tmp_path) -> Result:
        context.keep(app, dataclasses.replace(before, attachments=None if place is None else str(place)))
        try:
            return CliRunner().invoke(commands, ["attachment", "sweep", *arguments])
        finally:
            context.keep(app, before)

    return run


def test_only_old_files_that_no_statement_has_are_removed(sweep: Callable[..., Result], tmp_path: Path) -> None:
    place = lrs.files.at(str(tmp_path))
    for data in (b"old", b"new"):
        place.put(sha256(data), memoryview(data))
    old = tmp_path / sha256(b"old")[:2] / sha256(b"old")
    os.utime(old, (0, 0))

    result = sweep("--json")

    assert json.loads(result.stdout) == {"removed": 1}, result.exception
    assert [path.name for path in tmp_path.glob("*/*")] == [sha256(b"new")]


def test_a_file_may_not_be_younger_than_a_day(sweep: Callable[..., Result]) -> None:
    """A file comes before the row that names it."""
    assert sweep("--days", "0").exit_code == 2


def test_without_a_place_there_is_nothing_to_sweep(sweep: Callable[..., Result]) -> None:
    result = sweep(place=None)

    assert "LRS_BRIDGE_ATTACHMENTS" in str(result.exception)
