"""`python -m bench [NAME...]`: measure, print one table. Nothing it prints is written into the code."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import lrs
from bench import identity, mapping, posting, pulling, querying, rebuilding, streaming, tables
from bench.lines import Line
from bench.machine import describe
from bench.stage import Options, Stage, stage

PARTS: dict[str, Callable[[Stage, Options], list[Line]]] = {
    "post-batches": posting.measure_batches,
    "post-one": posting.measure_singles,
    "get": querying.measure,
    "mapping": mapping.measure,
    "mapping-again": mapping.measure_again,
    "pull": pulling.measure,
    "pull-live": streaming.measure,
    "records": rebuilding.measure,
    "identity": identity.measure,
}


def main() -> None:
    """Measure the parts that were named, or all."""
    asked = _arguments()
    options = Options(seconds=asked.seconds, size=asked.size)
    lines: list[Line] = []
    with stage() as on:
        app = on.app("machine")
        with app.app_context():
            machine = describe(lrs.db.session)
        on.drop("machine")
        for name in asked.parts or PARTS:
            began = time.monotonic()
            print(f"{name} ...", file=sys.stderr, end=" ", flush=True)
            lines += PARTS[name](on, options)
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    machine["command"] = " ".join(["python -m bench", *sys.argv[1:]])
    print((tables.markdown if asked.markdown else tables.plain)(lines, machine))


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(PARTS)} (all)")
    parser.add_argument("--seconds", type=float, default=15, help="how long each loop is measured (15)")
    parser.add_argument("--size", type=int, default=100_000, help="statements that are queried and mapped (100000)")
    parser.add_argument("--markdown", action="store_true", help="write the table for README.md")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.parts if name not in PARTS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return asked


if __name__ == "__main__":
    main()
