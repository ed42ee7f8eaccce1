"""`python -m tests.model.run`: check the model of the kill lease with Spin, and its mutants.

Ends with 1 when the safe model fails or was not searched to the end, or when a mutant does not
break the claim it has to; with 2 when Spin or a C compiler is missing.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

from tests.model.cases import CASES
from tests.model.spin import NotInstalled, find_compiler, find_spin
from tests.model.verify import BuildFailed, Result, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all cases, or those named; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.run", description=__doc__)
    parser.add_argument("--json", action="store_true", help="results as JSON")
    parser.add_argument("--case", action="append", choices=[one.name for one in CASES])
    options = parser.parse_args(arguments)
    wanted = [one for one in CASES if options.case is None or one.name in options.case]
    try:
        spin = find_spin()
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 2)) as pool:
            results = list(pool.map(partial(verify, spin, find_compiler()), wanted))
    except NotInstalled as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    except BuildFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    told = (
        json.dumps([asdict(one) for one in results], indent=2) if options.json else table(results)
    )
    sys.stdout.write(f"{told}\n")
    return 0 if all(one.ok for one in results) else 1


def table(results: Sequence[Result]) -> str:
    """Lay the results out, a line each."""
    lines = [f"{'model':24}{'states':>12}{'depth':>8}{'seconds':>9}  verdict"]
    for one in results:
        figures = f"{one.states:>12,}{one.depth:>8,}{one.seconds:>9.1f}"
        wrong = "" if one.ok else "   <- NOT AS IT HAS TO BE"
        lines.append(f"{one.name:24}{figures}  {one.verdict}{wrong}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
