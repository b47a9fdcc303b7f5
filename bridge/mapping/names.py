"""Names, for suggestions to people and for nothing else: nobody is matched by name."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def name_key(name: str | None) -> str | None:
    """Give a name without accents, case, punctuation and order of words; None where nothing is left."""
    apart = unicodedata.normalize("NFKD", name or "").casefold()
    words = _WORD.findall("".join(one for one in apart if not unicodedata.combining(one)))
    return " ".join(sorted(words)) or None


def are_apart(one: str | None, other: str | None) -> bool:
    """Tell whether two full names, in one script, have no word in common; of a single word nothing is told."""
    words = [set((name_key(name) or "").split()) for name in (one, other)]
    if min(map(len, words)) < 2 or words[0] & words[1]:
        return False
    scripts = [{unicodedata.name(word[0], "?").split()[0] for word in part} for part in words]
    return bool(scripts[0] & scripts[1])
