"""Pack the Moodle plugin: `python pack.py FOLDER` writes `local_lrsbridge-<release>.zip` there.

The same files give the same bytes: names in order, one time and mode for all.
"""

import re
import sys
import zipfile
from pathlib import Path

PLUGIN = Path(__file__).parent / "lrsbridge"
"""Moodle unpacks it into `local/`, so the folder itself stands at the top of the archive."""
_WHEN = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


def release() -> str:
    """Give the release that version.php names."""
    found = re.search(r"\$plugin->release = '([^']+)'", (PLUGIN / "version.php").read_text())
    if not found:
        raise ValueError(f"{PLUGIN / 'version.php'} names no release")
    return found[1]


def pack(folder: Path) -> Path:
    """Write the archive into a folder, which is made, and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"local_lrsbridge-{release()}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(path for path in PLUGIN.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(PLUGIN.parent).as_posix(), _WHEN)
            entry.external_attr = _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    return archive


if __name__ == "__main__":
    sys.stdout.write(f"{pack(Path(sys.argv[1]))}\n")
