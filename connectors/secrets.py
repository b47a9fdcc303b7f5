"""Secrets by name: a document names one, the environment or a file holds it, and it is read when it is needed.

`{secret: jira-token}` is looked for in this order: the variable LRS_BRIDGE_SOURCE_JIRA_TOKEN; the file that the
variable LRS_BRIDGE_SOURCE_JIRA_TOKEN_FILE names; the file /run/secrets/jira-token, where Docker puts them, and
Kubernetes when told to. Only names that begin with the prefix can be asked for."""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

from marshmallow import ValidationError

from connectors.documents import Key, say
from connectors.errors import LoginRefused

PREFIX = "LRS_BRIDGE_SOURCE_"
FOLDER = Path("/run/secrets")
"""Where Docker mounts them: https://docs.docker.com/engine/swarm/secrets/"""
LEAST_IN_OURS = 6
LEAST_TELLING = 16
_UNCHANGED = re.compile("[A-Za-z0-9_.-]+")
LEAST_BASE64 = 8
"""A shorter piece stands in many texts by chance."""
_TO_URL_SAFE = str.maketrans("+/", "-_")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret as a document holds it: by name."""

    name: str

    @property
    def variable(self) -> str:
        """The environment variable that may hold it."""
        return PREFIX + self.name.upper().replace("-", "_")


class Secrets:
    """Where secrets are found; nothing is read before `value` is called."""

    def __init__(self, env: Mapping[str, str], folder: Path = FOLDER) -> None:
        self._env, self._folder = env, folder

    def value(self, secret: SecretName | str) -> str:
        """Give the secret, or a plain text as it is; raises LoginRefused that names the places looked at."""
        if isinstance(secret, str):
            return secret
        if held := self._env.get(secret.variable):
            return held
        named = self._env.get(f"{secret.variable}_FILE")
        file = Path(named) if named else self._folder / secret.name
        try:
            held = file.read_text("utf-8").strip()
        except (OSError, ValueError) as err:
            what = f"The secret {secret.name!r} is not to be had: {file} cannot be read ({type(err).__name__})."
            raise LoginRefused(f"{what} {_remedy(secret)}") from err
        if not held:
            raise LoginRefused(f"The secret {secret.name!r} is empty in {file}. {_remedy(secret)}")
        return held


def _remedy(secret: SecretName) -> str:
    return f"Set {secret.variable}, or {secret.variable}_FILE to the path of a file that holds it."


@dataclass(slots=True)
class Hidden:
    """The secrets that were used, to be taken out of every text before somebody sees it."""

    _values: set[str] = field(default_factory=set, repr=False)

    def add(self, *values: str) -> None:
        """Remember what must not be shown, also as it stands in an address, in JSON, in HTML, or encoded in base64."""
        for value in filter(None, values):
            self._values |= {value, " ".join(value.split()), json.dumps(value)[1:-1], html.escape(value)}
            self._values |= {quote(value), quote(value, safe=""), quote_plus(value), *_in_base64(value)}
            # However often it is encoded, and wherever it is cut: what no encoding changes stays as it is.
            self._values |= {part for part in _UNCHANGED.findall(value) if len(part) >= LEAST_TELLING}
        self._values.discard("")

    def hide(self, text: str, *, least: int = 1) -> str:
        """Give the text with every secret in it blanked; longer ones first, for one may be part of another.

        Those with fewer characters than `least` stay: in words of our own they would stand by chance.
        """
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, "***") if len(value) >= least else text
        return text

    def hide_in(self, error: BaseException) -> None:
        """Blank the secrets in what an error says, and those behind it; one that cannot be blanked is let go."""
        error.args = tuple(self.hide(arg, least=LEAST_IN_OURS) if isinstance(arg, str) else arg for arg in error.args)
        behind = error.__cause__ or error.__context__
        if behind is None:
            return
        self.hide_in(behind)
        if self.hide(str(behind), least=LEAST_IN_OURS) != str(behind):
            error.__cause__, error.__suppress_context__ = None, True

    def stands_in(self, data: dict[str, Any]) -> bool:
        """Tell whether JSON holds a secret, short ones aside: they stand anywhere by chance."""
        text = json.dumps(data)
        return any(value in text for value in self._values if len(value) >= LEAST_TELLING)


def _in_base64(value: str) -> Iterator[str]:
    """Give what stands in base64 for a secret, wherever in the encoded text it begins, in both alphabets."""
    content = value.encode("utf-8", "replace")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        if len(whole) >= LEAST_BASE64:
            yield from (whole, whole.translate(_TO_URL_SAFE))


class SecretField(Key):
    """`{secret: name}`. What else stands there may be the secret itself, so no message repeats it."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"secret": {"type": "string", "pattern": f"^{_NAME.pattern}$"}},
        "required": ["secret"],
        "additionalProperties": False,
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> SecretName:  # noqa: ANN401
        if not isinstance(value, Mapping) or list(value) != ["secret"]:
            what = "A secret does not stand in a document, only its name does."
            raise ValidationError(say(what, f"Write {{secret: some-name}}, and set {PREFIX}SOME_NAME."))
        name = value["secret"]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            what = "This does not do as the name of a secret."
            raise ValidationError({"secret": [say(what, "Use at most 64 small letters, digits and hyphens.")]})
        return SecretName(name)


class TextOrSecret(SecretField):
    """A text that is no secret, such as a user name, or `{secret: name}`."""

    json_schema: ClassVar[Mapping[str, Any]] = {"anyOf": [{"type": "string", "minLength": 1}, SecretField.json_schema]}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if isinstance(value, str) and value:
            return value
        return super()._deserialize(value, *args, **kwargs)
