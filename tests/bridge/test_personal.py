"""Every column that can hold words has a line that says what becomes of it when a person is erased."""

import pytest
from sqlalchemy import ARRAY, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

import bridge.models  # noqa: F401 - declares the tables
from bridge.personal import TABLES
from lrs import Base

WORDS = (Text, JSONB, LargeBinary, Uuid, ARRAY)


def holds_words() -> dict[str, set[str]]:
    return {
        name: {column.name for column in table.columns if isinstance(column.type, WORDS)}
        for name, table in Base.metadata.tables.items()
    }


def test_every_table_has_a_line_and_no_line_is_of_a_table_that_is_gone() -> None:
    assert set(TABLES) == set(Base.metadata.tables)


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_every_column_that_can_hold_words_says_what_becomes_of_it(name: str) -> None:
    line = TABLES[name]
    assert {*line.searched, *line.kept} == holds_words()[name]
    assert not line.searched.keys() & line.kept.keys()
    assert all(line.kept.values())
