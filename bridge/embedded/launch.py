"""Become a command that does not outlive its parent: launch.py SIGNAL PARENT_PID COMMAND...

Linux sends SIGNAL to the command when the thread that started it is gone, kill -9 included. This is a script of its own
because the same lines in a `preexec_fn` may deadlock a threaded parent. It imports nothing of ours: it takes 15 ms, and
any user can run it.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(last_signal: str, parent_pid: str, *command: str) -> None:
    """Replace this process by `command`; ends at once if the parent has died meanwhile."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
    if os.getppid() != int(parent_pid):
        sys.exit("the process that wanted this server is gone")
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell is what we want
    except OSError as err:
        sys.exit(f"could not run {command[0]}: {err.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
