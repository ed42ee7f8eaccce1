"""Builtins that we evaluate ourselves, as OPA's own Go code does; whatever is doubtful fails."""

import ipaddress
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from proxy.pdp.wasm.documents import REWRITTEN
from proxy.pdp.wasm.globs import is_match
from proxy.pdp.wasm.numbers import Failed, reckoned

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_VERB = re.compile(r"%(.?)", re.DOTALL)
_PREFIX = re.compile(r"[0-9]+\Z")
_MAPPED = 0xFFFF << 32
_PLAIN_GLOB = re.compile(r"(?!.*\*\*\*)[A-Za-z0-9_./:@*~=,;#%&<> -]*\Z")
_MOST_PREFIX_DIGITS = 3
_LEAST_EXPONENT, _MOST_EXPONENT = -4, 5


def cidr_is_valid(network: Any) -> bool:
    """Evaluate `net.cidr_is_valid`."""
    try:
        _network(_text(network))
    except ValueError:
        return False
    return True


def cidr_contains(network: Any, other: Any) -> bool:
    """Evaluate `net.cidr_contains` on a network, and an address or a network. Raises Failed.

    As in Go's net package `::ffff:10.0.0.1` is the address 10.0.0.1.
    """
    first, last = _network(_text(network))
    try:
        address = _unmapped(_address(_text(other)))
        return _is_between(address, first, last)
    except ValueError:
        least, greatest = _network(_text(other))
    return _is_between(least, first, last) and _is_between(greatest, first, last)


def absolute(number: Any) -> int | Decimal:
    """Evaluate `abs`. Raises Failed."""
    return reckoned(operator.abs, number)


def glob_match(pattern: Any, delimiters: Any, text: Any) -> bool:
    """Evaluate `glob.match` on a pattern of plain characters and stars. Raises Failed."""
    if delimiters is not None and not isinstance(delimiters, list):
        raise Failed("no delimiters")
    if not _PLAIN_GLOB.match(_text(pattern)):
        raise Failed("not a plain pattern")
    listed = ["."] if delimiters == [] else [_text(one) for one in delimiters or []]
    if any(len(one) != 1 for one in listed):
        raise Failed("a delimiter that is no character")
    return is_match(pattern, listed, _text(text))


def lower(text: Any) -> str:
    """Evaluate `lower`: each letter by itself, to one letter. Raises Failed."""
    return "".join(_one_letter(one, one.lower(), "i") for one in _text(text))


def upper(text: Any) -> str:
    """Evaluate `upper`: each letter by itself, to one letter. Raises Failed."""
    return "".join(_one_letter(one, one.upper(), one.title()) for one in _text(text))


def _one_letter(letter: str, changed: str, otherwise: str) -> str:
    """Return what a letter becomes; where that is more than one letter, `otherwise` or itself."""
    if len(changed) == 1:
        return changed
    return otherwise if len(otherwise) == 1 else letter


def minus(left: Any, right: Any) -> int | Decimal:
    """Evaluate `minus` on numbers. Raises Failed."""
    return reckoned(operator.sub, left, right)


def multiply(left: Any, right: Any) -> int | Decimal:
    """Evaluate `mul`. Raises Failed."""
    return reckoned(operator.mul, left, right)


def plus(left: Any, right: Any) -> int | Decimal:
    """Evaluate `plus`. Raises Failed."""
    return reckoned(operator.add, left, right)


def remainder(left: Any, right: Any) -> int | Decimal:
    """Evaluate `rem`: the remainder has the sign of the left. Raises Failed."""
    return reckoned(_remainder, left, right)


def _remainder(left: Any, right: Any) -> int:
    if not isinstance(left, int) or not isinstance(right, int) or not right:
        raise Failed("no integers, or a division by zero")
    size = abs(left) % abs(right)
    return size if left >= 0 else -size


def replace(text: Any, old: Any, new: Any) -> str:
    """Evaluate `replace` of a text that is not empty. Raises Failed."""
    if old == "":
        raise Failed("OPA splits characters there")
    return _text(text).replace(_text(old), _text(new))


def sprintf(template: Any, values: Any) -> str:
    """Evaluate `sprintf` with the verbs %v, %s, %d and %%. Raises Failed.

    Refused: other verbs, flags and widths, too few or too many values.
    """
    if not isinstance(values, list):
        raise Failed("no array")
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in {"v", "s", "d"} or not left:
            raise Failed("a verb that is not known here, or one too many")
        return _formatted(match[1], left.pop(0))

    text = _VERB.sub(one, _text(template))
    if left:
        raise Failed("a value too many")
    return text


def _formatted(verb: str, value: Any) -> str:
    if type(value) is int:
        if verb == "s":
            raise Failed("an integer as a string")
        return str(value)
    if verb == "d" or (verb == "s" and isinstance(value, Decimal)):
        raise Failed("no integer")
    if isinstance(value, Decimal):
        return _as_float(value)
    return value if isinstance(value, str) else _as_term(value)


def _as_float(value: Decimal) -> str:
    """Return a fraction as Go's %v writes it: an exponent below 1e-4 and from 1e6 on."""
    number = float(value)
    if not math.isfinite(number):
        raise Failed("no finite number")
    shortest = Decimal(repr(number)).normalize()
    exponent = shortest.adjusted()
    if not number or _LEAST_EXPONENT <= exponent <= _MOST_EXPONENT:
        return f"{shortest:f}"
    sign, digits, _ = shortest.as_tuple()
    first, rest = digits[0], "".join(map(str, digits[1:]))
    mantissa = f"{first}.{rest}" if rest else str(first)
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _as_term(value: Any) -> str:
    """Return a value as OPA writes it, where that is sure to be what we would write."""
    if isinstance(value, list):
        return f"[{', '.join(_as_term(item) for item in value)}]"
    if isinstance(value, dict):
        members = (f"{_as_term(key)}: {_as_term(value[key])}" for key in sorted(value))
        return f"{{{', '.join(members)}}}"
    if isinstance(value, str) and not _is_plain(value):
        raise Failed("OPA may write it in another way")
    if isinstance(value, Decimal) and ("E" in str(value) or str(value).endswith(REWRITTEN)):
        raise Failed("OPA may write it in another way")
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _network(text: str) -> tuple[Address, Address]:
    """Return first and last address of a network, as Go's net.ParseCIDR reads it. Raises Failed."""
    written, _, prefix = text.partition("/")
    address = _address(written)
    digits = prefix.lstrip("0")
    if not _PREFIX.match(prefix) or len(digits) > _MOST_PREFIX_DIGITS:
        raise Failed("no prefix")
    length = int(digits or "0")
    if length > address.max_prefixlen:
        raise Failed("no such prefix")
    hosts = (1 << (address.max_prefixlen - length)) - 1
    first = type(address)(int(address) & ~hosts)
    last = type(address)(int(first) | hosts)
    if _is_mapped(first):
        return _unmapped(first), _unmapped(last)
    return first, last


def _address(text: str) -> Address:
    """Return an address, as Go's net.ParseIP reads it. Raises ValueError."""
    if not text.isascii() or "%" in text or "/" in text:
        raise Failed("no address")
    return ipaddress.ip_address(text)


def _is_mapped(address: Address) -> bool:
    return address.version == 6 and int(address) >> 32 == 0xFFFF  # noqa: PLR2004  # RFC 4291 2.5.5.2


def _unmapped(address: Address) -> Address:
    if not _is_mapped(address):
        return address
    return ipaddress.IPv4Address(int(address) - _MAPPED)


def _is_between(address: Address, first: Address, last: Address) -> bool:
    if address.version != first.version:
        return False
    return int(first) <= int(address) <= int(last)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Failed("no string")
    return value


HOST: Mapping[str, Callable[..., Any]] = {
    "abs": absolute,
    "glob.match": glob_match,
    "lower": lower,
    "minus": minus,
    "mul": multiply,
    "net.cidr_contains": cidr_contains,
    "net.cidr_is_valid": cidr_is_valid,
    "plus": plus,
    "rem": remainder,
    "replace": replace,
    "sprintf": sprintf,
    "upper": upper,
}
