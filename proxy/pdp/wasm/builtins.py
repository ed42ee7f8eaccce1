"""The builtins that the wasm engine has: each does what OPA's own does, or ends the evaluation.

Left out, and refused at load by name, is what was seen to differ: other results (`base64.*`,
`format_int`, `indexof`, `json.*`, `sum`, `/`), endless on an empty string (`replace` of OPA's: we
evaluate it), or nothing to compare with.
"""

import json
from collections.abc import Mapping

from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.wasm.guards import Guard
from proxy.pdp.wasm.harden import Native
from proxy.pdp.wasm.host import HOST

FIRST_OF_OURS = 1_000_000  # numbers of builtins that we evaluate though OPA has code for them

_NATIVE = {
    "opa_agg_count": "count",
    "opa_agg_max": "max",
    "opa_agg_min": "min",
    "opa_agg_sort": "sort",
    "opa_arith_abs": "abs",
    "opa_arith_minus": "minus",
    "opa_arith_multiply": "mul",
    "opa_arith_plus": "plus",
    "opa_arith_rem": "rem",
    "opa_array_concat": "array.concat",
    "opa_array_flatten": "array.flatten",
    "opa_array_reverse": "array.reverse",
    "opa_array_slice": "array.slice",
    "opa_cidr_contains": "net.cidr_contains",
    "opa_cmp_eq": "equal",
    "opa_cmp_gt": "gt",
    "opa_cmp_gte": "gte",
    "opa_cmp_lt": "lt",
    "opa_cmp_lte": "lte",
    "opa_cmp_neq": "neq",
    "opa_glob_match": "glob.match",
    "builtin_graph_reachable": "graph.reachable",
    "builtin_member": "internal.member_2",
    "builtin_member3": "internal.member_3",
    "opa_numbers_range": "numbers.range",
    "builtin_object_filter": "object.filter",
    "builtin_object_get": "object.get",
    "builtin_object_keys": "object.keys",
    "builtin_object_remove": "object.remove",
    "builtin_object_union": "object.union",
    "opa_regex_find_all_string_submatch": "regex.find_all_string_submatch_n",
    "opa_regex_match": "regex.match",
    "opa_set_intersection": "and",
    "opa_set_union": "or",
    "opa_sets_intersection": "intersection",
    "opa_sets_union": "union",
    "opa_strings_concat": "concat",
    "opa_strings_contains": "contains",
    "opa_strings_endswith": "endswith",
    "opa_strings_lower": "lower",
    "opa_strings_replace": "replace",
    "opa_strings_reverse": "strings.reverse",
    "opa_strings_split": "split",
    "opa_strings_startswith": "startswith",
    "opa_strings_substring": "substring",
    "opa_strings_trim": "trim",
    "opa_strings_trim_left": "trim_left",
    "opa_strings_trim_prefix": "trim_prefix",
    "opa_strings_trim_right": "trim_right",
    "opa_strings_trim_space": "trim_space",
    "opa_strings_trim_suffix": "trim_suffix",
    "opa_strings_upper": "upper",
    "opa_types_is_array": "is_array",
    "opa_types_is_boolean": "is_boolean",
    "opa_types_is_null": "is_null",
    "opa_types_is_number": "is_number",
    "opa_types_is_object": "is_object",
    "opa_types_is_set": "is_set",
    "opa_types_is_string": "is_string",
    "opa_types_name": "type_name",
    "opa_value_transitive_closure": "walk",
}
_GUARDS = {
    "abs": Guard.FRACTIONS,
    "concat": Guard.NO_SET,
    "glob.match": Guard.GLOB,
    "lower": Guard.ASCII,
    "max": Guard.EMPTY,
    "min": Guard.EMPTY,
    "minus": Guard.FRACTIONS,
    "mul": Guard.FRACTIONS,
    "plus": Guard.FRACTIONS,
    "regex.find_all_string_submatch_n": Guard.PATTERN,
    "regex.match": Guard.PATTERN,
    "rem": Guard.FRACTIONS,
    "upper": Guard.ASCII,
}
_REPLACED = frozenset({"net.cidr_contains", "replace"})
# Compiled out: they are no functions in a module.
_UNIFICATION = frozenset({"assign", "eq"})

OURS: Mapping[int, str] = {
    FIRST_OF_OURS + position: name for position, name in enumerate(sorted(HOST))
}
_NUMBERS = {name: number for number, name in OURS.items()}

NATIVES: Mapping[str, Native] = {
    function: Native(
        builtin,
        frozenset({_GUARDS[builtin]} if builtin in _GUARDS else ()),
        _NUMBERS.get(builtin),
        is_replaced=builtin in _REPLACED,
    )
    for function, builtin in _NATIVE.items()
}
PORTABLE = frozenset({*_NATIVE.values(), *HOST, *_UNIFICATION})


def capabilities() -> bytes:
    """Return what a bundle for this engine may use: of what any bundle may, the portable part."""
    known = json.loads(CAPABILITIES.read_bytes())
    known["builtins"] = [one for one in known["builtins"] if one["name"] in PORTABLE]
    return json.dumps(known).encode()
