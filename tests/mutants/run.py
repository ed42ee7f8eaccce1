"""`make mutants`: take away one deciding line of the policies at a time; list what nobody notices.

Exits with 1 when a mutant survives that is not among the known ones, or a known one does not.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from proxy.pdp.find_opa import find_opa
from tests.mutants.judge import Judge
from tests.mutants.mutate import mutants
from tests.mutants.survivors import SURVIVORS

POLICIES = Path(__file__).parents[2] / "policies"


def main() -> int:
    """Run the mutants of the chosen files and print one line for each survivor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=POLICIES)
    parser.add_argument("--only", default="", help="files whose path holds this text")
    given = parser.parse_args()
    opa = find_opa().path.absolute()
    chosen = [one for one in mutants(given.bundle, opa) if given.only in one.file]
    survived: list[str] = []
    with tempfile.TemporaryDirectory(prefix="detent-mutants-") as place:
        judge = Judge(given.bundle, Path(place), opa)
        for number, mutant in enumerate(chosen, 1):
            if not judge.noticed_by(mutant):
                survived.append(mutant.key)
                known = SURVIVORS.get(mutant.key, "NOT KNOWN")
                print(f"\nsurvives: {mutant.name}\n  {known}", flush=True)  # noqa: T201 its report
            print(f"\r{number}/{len(chosen)}", end="", file=sys.stderr)  # noqa: T201 progress
    gone = {key for key in SURVIVORS if given.only in key} - set(survived)
    print(f"\n{len(chosen)} mutants, {len(survived)} survive")  # noqa: T201 its report
    for key in sorted(gone):
        print(f"known as a survivor, but is none: {key}")  # noqa: T201 its report
    return 1 if gone or set(survived) - SURVIVORS.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
