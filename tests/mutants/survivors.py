"""Mutants that nothing notices because they decide nothing else, each with its why."""

from collections.abc import Mapping

# By file and the line that is gone.
SURVIVORS: Mapping[str, str] = {
    "log/mask.rego: is_string(value)": (
        "keeps regex.match from failing on what is no text; tests do not see builtins fail"
    ),
}
