"""Small files, and what a source makes of them."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors import Row, RowProblem, Source, load_source
from connectors.sources import State

BASE: dict[str, Any] = {"kind": "source", "name": "tickets", "type": "csv", "path": "tickets.csv", "key": ["id"]}


@dataclass
class Pulled:
    rows: list[Row] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    pages: int = 0
    state: State | None = None


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file that has lain still for an hour."""

    def write_file(content: str | bytes, name: str = "tickets.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        an_hour_ago = time.time() - 3600
        os.utime(path, (an_hour_ago, an_hour_ago))
        return path

    return write_file


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Source]:
    """Make the source of the smallest document, with the given keys added."""
    return lambda **keys: load_source(BASE | keys, base=tmp_path)


@pytest.fixture
def pull() -> Callable[..., Pulled]:
    """Pull everything, and put the pages together."""

    def pull_all(source: Source, state: State | None = None) -> Pulled:
        pulled = Pulled()
        for page in source.pull(state):
            pulled.rows += page.rows
            pulled.problems += page.problems
            pulled.pages += 1
            pulled.state = page.state
        return pulled

    return pull_all
