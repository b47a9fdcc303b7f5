"""What the figures were measured on, and what processes cost: read from the system, never assumed."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

_TICKS = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).parent.parent


def describe(session: Session) -> dict[str, str]:
    """Give what a reader must know to compare figures."""
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory():.0f} GB, {platform.system()}",
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "PostgreSQL": str(session.scalar(text("show server_version"))).split()[0],
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
    }


def cpu_seconds(pids: Iterable[int]) -> float:
    """Sum the processor time of processes, of all below them, and of those below them that have ended."""
    stats = _stats()
    # utime, stime, and those of children that were waited for: fields 14 to 17 of proc(5).
    return sum(sum(map(int, stats[pid][11:15])) for pid in _with_all_below(pids, stats)) / _TICKS


def resident_megabytes(pid: int | None = None) -> float:
    """Give the memory that this process holds now, or another with all below it (what they share counted for each)."""
    if pid is None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    else:
        stats = _stats()
        pages = sum(int(stats[one][21]) for one in _with_all_below([pid], stats))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _stats() -> dict[int, list[str]]:
    """Give the fields of /proc/*/stat from the third on, by process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
    return found


def _with_all_below(pids: Iterable[int], stats: dict[int, list[str]]) -> list[int]:
    below: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        below.setdefault(int(fields[1]), []).append(pid)
    found, queue = [], list(pids)
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += below.get(pid, [])
    return [pid for pid in found if pid in stats]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def _commit() -> str:
    git = ["git", "-C", str(_ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + (" with uncommitted changes" if changed.stdout.strip() else "")
