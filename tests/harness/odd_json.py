"""Raw JSON texts as careful, careless and hostile clients write them."""

import json
import random
from typing import Any

TEXTS = [
    "plain", "", " ", "é", "日本", "🙂", "a\tb", 'quo"te', "back\\slash", "</script>", "\u2028",
    "\u202eabc", "%2e%2e%2f", "${jndi}", "line\nbreak", "\x7f", "ﬁ", "K", "İ", "null", "1e5",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "-0.0", "1", "1.0", "1e2", "1E+2", "100", "0.1", "1e-7", "123456789.123",
    "9007199254740991", "-9007199254740991", "2.5e-308", "1.7976931348623157e308", "1E400",
    "9007199254740992", "9007199254740993", "18446744073709551616", "-1e999", "0.30000000000000004",
    "1" * 30, "NaN", "Infinity", "01", "+1", ".5", "5.", "0x10", "1_000",
]  # fmt: skip
BROKEN = [
    '"\\ud800"', '"\\u0000"', '"\\x41"', "{,}", "[1,]", "'a'", "undefined", '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}', "// c", "[" * 200 + "]" * 200, '"unterminated',
]  # fmt: skip


class OddJson:
    """A seeded stream of argument objects as raw text. `n` in each object is its number."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def arguments(self, n: int) -> bytes:
        """Return one raw object: members in any order, any spelling, any white space."""
        members = [('"n"', str(n))]
        if self._chance.random() < 0.8:
            members.append((self._key("text"), self._text()))
        if self._chance.random() < 0.8:
            members.append((self._key("data"), self._value(3)))
        if self._chance.random() < 0.03:
            members.append(('"n"', "7"))
        if self._chance.random() < 0.03:
            members.append((self._text(), self._value(1)))
        self._chance.shuffle(members)
        inside = ",".join(f"{self._blank()}{k}{self._blank()}:{v}" for k, v in members)
        return ("{" + inside + self._blank() + "}").encode(errors="surrogatepass")

    def _value(self, depth: int) -> str:
        kind = self._chance.random()
        if depth and kind < 0.2:
            inner = (self._value(depth - 1) for _ in range(self._chance.randrange(4)))
            return "[" + ",".join(inner) + "]"
        if depth and kind < 0.4:
            keys = self._chance.sample(TEXTS, self._chance.randrange(4))
            pairs = (f"{self._spell(key)}:{self._value(depth - 1)}" for key in keys)
            return "{" + ",".join(pairs) + "}"
        if kind < 0.7:
            return self._chance.choice(NUMBERS)
        if kind < 0.72:
            return self._chance.choice(BROKEN)
        return self._chance.choice(["true", "false", "null", self._text()])

    def _text(self) -> str:
        return self._spell(self._chance.choice(TEXTS))

    def _key(self, name: str) -> str:
        return self._spell(name)

    def _spell(self, text: str) -> str:
        """Write a string with escapes of any kind."""
        if self._chance.random() < 0.5:
            return json.dumps(text, ensure_ascii=self._chance.random() < 0.5)
        units: list[Any] = [
            f"\\u{ord(char):04x}" if ord(char) < 0x10000 and self._chance.random() < 0.5
            else json.dumps(char)[1:-1]
            for char in text
        ]  # fmt: skip
        return '"' + "".join(units) + '"'

    def _blank(self) -> str:
        return self._chance.choice(["", "", " ", "\n", "\t ", "\r\n"])
