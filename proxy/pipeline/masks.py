"""The obligation `mask`: parts of a result, or of a hook's arguments, that are not to be seen.

`{"type": "mask", "path": "/result/email"}`: an RFC 6901 pointer in which `*` stands for any key or
index. What a policy asks for is understood whole, or the call is denied.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.errors import Refused
from proxy.model.decision import Decision, Obligation

MASK = "mask"
MASKED = "[masked]"
RESULT = "result"
ARGUMENTS = "arguments"

MAX_PATH_CHARS = 512
MAX_TEXTS_DEEP = 4
MIN_HIDDEN_CHARS = 5

# Where a result's own data may be: MCP's structured content, the body of an HTTP answer, the data
# of an error or of a log message. JSON in any string is the fifth place.
_HOLDERS = ("structuredContent", "body", "data")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Mask:
    """One path: `root` is `result` or `arguments`, `steps` are keys, indexes and `*`."""

    root: str
    steps: tuple[str, ...]


def masks_of(decision: Decision | None, root: str) -> tuple[Mask, ...]:
    """Return the masks of a decision, all of this root.

    Raises Refused: obligation-unknown, for a path that is no pointer or begins elsewhere.
    """
    duties = decision.obligations if decision else ()
    if not duties:
        return ()
    masks = tuple(_mask(duty) for duty in duties if duty.type == MASK)
    if any(mask.root != root for mask in masks):
        raise Refused.because("obligation-unknown")
    return masks


def masked(document: bytes, masks: Sequence[Mask]) -> bytes:
    """Return a JSON document with `"[masked]"` for every value that a path names.

    A path of a result also begins at each of the places results keep their data in. A text that was
    masked in one place is masked in every string. Raises ValueError when the document is not JSON
    or nested too deeply.
    """
    if not masks:
        return document
    masking = _Masking(masks)
    try:
        shown = masking.hide(masking.root(json.loads(document), 0))
        return _ENCODER.encode(shown).encode()
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def _mask(duty: Obligation) -> Mask:
    path = duty.fields.get("path")
    if duty.fields.keys() != {"path"} or not isinstance(path, str) or len(path) > MAX_PATH_CHARS:
        raise Refused.because("obligation-unknown")
    empty, *steps = path.split("/")
    if empty or len(steps) < 2 or not all(map(_is_step, steps)):  # noqa: PLR2004  (root and a step)
        raise Refused.because("obligation-unknown")
    root, *inner = (step.replace("~1", "/").replace("~0", "~") for step in steps)
    if root not in {RESULT, ARGUMENTS}:
        raise Refused.because("obligation-unknown")
    return Mask(root, tuple(inner))


def _is_step(step: str) -> bool:
    """Whether this is a step of a pointer; an empty one is more likely a slip than a key."""
    return bool(step) and "~" not in step.replace("~0", "").replace("~1", "")


class _Masking:
    """The masks of one document, and the texts they have hidden so far."""

    def __init__(self, masks: Sequence[Mask]) -> None:
        self._paths = [mask.steps for mask in masks]
        self._searches = masks[0].root == RESULT
        self._hidden: set[str] = set()

    def root(self, value: Any, texts_deep: int) -> Any:
        """Mask a value at which paths begin, and what it holds at which they begin again."""
        for steps in self._paths:
            value = self._masked(value, steps)
            for name in _HOLDERS if self._searches and isinstance(value, dict) else ():
                if name in value:
                    value[name] = self._masked(value[name], steps)
        return self._inside(value, texts_deep) if self._searches else value

    def hide(self, value: Any) -> Any:
        """Mask the texts hidden so far in every string."""
        if isinstance(value, dict):
            return {key: self.hide(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.hide(inner) for inner in value]
        if isinstance(value, str):
            for text in sorted(self._hidden, key=len, reverse=True) if self._searches else ():
                value = value.replace(text, MASKED)
        return value

    def _masked(self, value: Any, steps: tuple[str, ...]) -> Any:
        if not steps:
            self._hidden.update(text for text in _texts(value) if len(text) >= MIN_HIDDEN_CHARS)
            return MASKED
        for place in _places(value, steps[0]):
            value[place] = self._masked(value[place], steps[1:])
        return value

    def _inside(self, value: Any, texts_deep: int) -> Any:
        if isinstance(value, str):
            return self._text(value, texts_deep)
        for place in _places(value, "*"):
            value[place] = self._inside(value[place], texts_deep)
        return value

    def _text(self, text: str, texts_deep: int) -> str:
        """Mask a text that is itself JSON, always written anew: a key may stand in it twice."""
        if text.lstrip()[:1] not in {"{", "["}:
            return text
        try:
            inner = json.loads(text)
        except ValueError:
            return text
        if texts_deep == MAX_TEXTS_DEEP:
            raise ValueError("JSON in JSON in JSON, and so on")
        return _ENCODER.encode(self.root(inner, texts_deep + 1))


def _places(value: Any, step: str) -> list[Any]:
    """Return the keys or indexes of a value that a step names."""
    if isinstance(value, dict):
        return [key for key in value if step in {"*", key}]
    if isinstance(value, list):
        return [index for index in range(len(value)) if step in {"*", str(index)}]
    return []


def _texts(value: Any) -> Iterator[str]:
    """Yield every string and number inside, as text."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
