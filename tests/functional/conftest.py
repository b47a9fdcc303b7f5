"""Fixtures of the tests that run lrs-bridge as a user does."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import CLEAN, COMMAND, Start, Tree, wait_until


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `up` with arguments; ended after the test, whatever became of it."""
    trees: list[Tree] = []

    def start_one(*arguments: str, data_dir: Path | None = None, ready: bool = True, **variables: str) -> Tree:
        where = data_dir or tmp_path / "data with space"
        env = CLEAN | variables
        marker = where / "endpoint.json"
        before = marker.stat().st_mtime_ns if marker.exists() else 0
        out = (where.parent / f"{where.name}.out").open("ab")
        process = subprocess.Popen(
            [*COMMAND, "up", "--data-dir", str(where), *arguments], env=env, stdout=out, stderr=out, cwd=tmp_path
        )
        out.close()
        tree = Tree(where, process, env)
        trees.append(tree)
        if ready:
            wait_until(
                lambda: (marker.exists() and marker.stat().st_mtime_ns > before) or process.poll() is not None,
                "endpoint.json is written",
            )
            assert process.poll() is None, tree.output()
        return tree

    yield start_one
    for tree in trees:
        if tree.process.poll() is None:
            tree.stop()
