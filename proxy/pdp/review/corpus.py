"""What a bundle is asked when it is reviewed: labelled policy inputs, whoever made them."""

from dataclasses import dataclass
from typing import Any

TOO_MANY = "there are more of them than can be asked: the rest was not made"


@dataclass(frozen=True, slots=True)
class LabelledInput:
    """One policy input and the words that tell a reviewer which one it is.

    `input` is what `data.detent.main.decision` reads, in the shape of `DecisionRequest`; `label`
    is one short line, unique within its corpus (a decision id, a suite's case, a boundary).
    `problem` says why it is none to ask, and what is missing; empty for all others.
    """

    label: str
    input: dict[str, Any]
    problem: str = ""
