"""`up` takes its port before anything else, so that nobody can answer in its place."""

from pathlib import Path

import pytest

from bridge import up
from bridge.errors import SettingsError
from bridge.up import Options


def test_two_that_start_at_once_never_share_a_port() -> None:
    options = Options(data_dir=Path("data"))

    with up._listen(options) as one, up._listen(options) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_refused() -> None:
    with up._listen(Options(data_dir=Path("data"))) as one:
        port = one.getsockname()[1]

        with pytest.raises(SettingsError, match=f"Port {port} on 127.0.0.1 is taken"):
            up._listen(Options(data_dir=Path("data"), port=port))
