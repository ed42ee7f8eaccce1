"""Fuzz one target until the time is up: `python -m tests.fuzz.one <target> <libFuzzer arguments>`.

A process of its own: libFuzzer ends the process it runs in.
"""

import sys

import atheris

with atheris.instrument_imports(include=["proxy"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
