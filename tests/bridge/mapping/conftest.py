"""Fixtures of the mapping's tests: documents from text, and the shipped ones."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from bridge.mapping import Documents, load_folders

ROOT = Path(__file__).parents[3]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Documents]:
    """Write each text into a file of its own (`a.yaml`, `b.yaml`, ...) of one folder, and load the folder."""

    def load_texts(*texts: str | bytes) -> Documents:
        for number, text in enumerate(texts):
            content = text if isinstance(text, bytes) else dedent(text).encode()
            (tmp_path / f"{chr(ord('a') + number)}.yaml").write_bytes(content)
        return load_folders([tmp_path])

    return load_texts


@pytest.fixture(scope="session")
def shipped() -> Documents:
    """The shipped documents: those in force by themselves, the generic ones and the demo's."""
    return load_folders([ROOT / "mappings", ROOT / "mappings" / "generic", ROOT / "mappings" / "demo"])
