"""Settings: from the environment alone, all in the README's table, and silent about secrets."""

import dataclasses
import re
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings import Settings, has_servers, shipped

README = Path(__file__).resolve().parents[2] / "README.md"
SERVERS = {
    "DATABASE_URL": "postgresql://u:database-password@db/x",
    "REDIS_URL": "redis://:broker-password@broker:6379/0",
}
EVERYTHING = SERVERS | {
    "LRS_BRIDGE_SECRET_KEY": "the-secret-key",
    "LRS_BRIDGE_MAPPINGS": "/etc/one:/etc/two",
    "LRS_BRIDGE_DATA_DIR": "/var/lib/lrs bridge",
    "LRS_BRIDGE_URL": "https://lrs.example.com",
    "LRS_BRIDGE_MAX_BODY_BYTES": "1000",
    "LRS_BRIDGE_REFUSED_MAX_BYTES": "2000",
    "LRS_BRIDGE_REFUSED_MAX_DAYS": "30",
    "LRS_BRIDGE_ATTACHMENTS": "s3://bucket/folder",
    "LRS_BRIDGE_LOG_LEVEL": "DEBUG",
    "LRS_BRIDGE_OIDC_ISSUER": "https://login.example.com/realms/learning",
    "LRS_BRIDGE_OIDC_AUDIENCE": "https://lrs.example.com/xapi",
    "LRS_BRIDGE_OIDC_JWKS_URL": "https://login.example.com/keys",
    "LRS_BRIDGE_OIDC_SCOPE_CLAIM": "scp",
    "LRS_BRIDGE_OIDC_NAME_CLAIM": "appid",
}


def table() -> dict[str, tuple[str, str]]:
    """Give (meaning, default) by variable, as the README's table has them."""
    section = README.read_text().partition("## Settings")[2].partition("\n## ")[0]
    return {
        name: (meaning, without)
        for name, meaning, without in re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, re.M)
    }


def test_every_setting_has_a_variable_and_a_line_in_the_readme() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}

    assert set(Settings.VARIABLES) == fields
    assert list(table()) == list(Settings.VARIABLES.values())


@pytest.mark.parametrize(
    "name", ["max_body_bytes", "data_dir", "public_url", "log_level", "oidc_scope_claim", "oidc_name_claim"]
)
def test_the_readme_tells_the_true_defaults(name: str) -> None:
    default = getattr(Settings(database_url="x", redis_url="y"), name)

    assert table()[Settings.VARIABLES[name]][1] == f"`{default}`" or table()[Settings.VARIABLES[name]][1] == str(
        default
    )


def test_what_is_set_comes_back_typed() -> None:
    settings = Settings.from_mapping(EVERYTHING)

    assert settings.database_url == "postgresql+psycopg://u:database-password@db/x"
    assert settings.mappings == (Path("/etc/one"), Path("/etc/two"))
    assert settings.data_dir == Path("/var/lib/lrs bridge")
    assert (settings.max_body_bytes, settings.log_level) == (1000, "DEBUG")


@pytest.mark.parametrize("env", [SERVERS, EVERYTHING], ids=["least", "all"])
def test_a_child_process_gets_the_same_settings(env: dict[str, str]) -> None:
    settings = Settings.from_mapping(env)

    assert Settings.from_mapping(settings.to_mapping()) == settings


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_mapping(
        SERVERS | dict.fromkeys(EVERYTHING.keys() - SERVERS.keys(), "")
    ) == Settings.from_mapping(SERVERS)


def test_settings_never_show_a_secret() -> None:
    shown = repr(Settings.from_mapping(EVERYTHING))

    for secret in ("database-password", "broker-password", "the-secret-key"):
        assert secret not in shown


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.from_mapping(SERVERS).log_level = "DEBUG"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("DATABASE_URL", "", "or run `lrs-bridge up`"),
        ("REDIS_URL", "", "or run `lrs-bridge up`"),
        ("DATABASE_URL", "mysql://u:secret@db/x", "postgresql://"),
        # forgotten colons and slashes: what stands there may be a password
        ("DATABASE_URL", "postgresql//u:secret@db/x", "postgresql://"),
        ("DATABASE_URL", "u:secret@db", "postgresql://"),
        ("REDIS_URL", "http://:secret@broker", "redis://"),
        ("REDIS_URL", "secret@broker:6379", "redis://"),
        ("LRS_BRIDGE_MAX_BODY_BYTES", "64MB", "whole number of bytes"),
        ("LRS_BRIDGE_MAX_BODY_BYTES", "0", "whole number of bytes"),
        ("LRS_BRIDGE_MAX_BODY_BYTES", "-1", "whole number of bytes"),
        ("LRS_BRIDGE_REFUSED_MAX_DAYS", "0", "whole number of days"),
        ("LRS_BRIDGE_ATTACHMENTS", "memory:///", "s3://"),
        ("LRS_BRIDGE_LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR"),
        # without an audience, tokens made for any server would be good here
        ("LRS_BRIDGE_OIDC_AUDIENCE", "", "LRS_BRIDGE_OIDC_ISSUER and LRS_BRIDGE_OIDC_AUDIENCE"),
        ("LRS_BRIDGE_OIDC_ISSUER", "", "LRS_BRIDGE_OIDC_ISSUER and LRS_BRIDGE_OIDC_AUDIENCE"),
        ("LRS_BRIDGE_OIDC_ISSUER", "file:///etc/passwd", "https://"),
        ("LRS_BRIDGE_OIDC_JWKS_URL", "keys.json", "https://"),
    ],
)
def test_a_bad_value_names_its_variable_and_the_remedy_and_no_secret(variable: str, value: str, remedy: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_mapping(EVERYTHING | {variable: value})

    assert variable in str(raised.value)
    assert remedy in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_way_to_write_the_databases_url_is_read(scheme: str) -> None:
    assert (
        Settings.from_mapping(SERVERS | {"DATABASE_URL": f"{scheme}://db/x"}).database_url
        == "postgresql+psycopg://db/x"
    )


def test_a_public_address_needs_no_slash_at_its_end() -> None:
    assert Settings.from_mapping(SERVERS | {"LRS_BRIDGE_URL": "https://x/"}).public_url == "https://x"


def test_one_server_of_ones_own_alone_is_a_mistake() -> None:
    assert has_servers(SERVERS)
    assert not has_servers({})
    for one, value in SERVERS.items():
        with pytest.raises(SettingsError, match="or neither"):
            has_servers({one: value})


def test_the_shipped_documents_are_read_first() -> None:
    assert Settings.from_mapping(EVERYTHING).folders == (shipped("mappings"), Path("/etc/one"), Path("/etc/two"))
    assert (shipped("mappings") / "moodle.yaml").is_file()
    assert (shipped("migrations") / "env.py").is_file()
