package detent.rules.argument_constraints_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.argument_constraints as rule

workspaces := {
	"scratch": "/ws/scratch",
	"everything": "/",
	"ws/a": "/not/meant/without/a/dollar",
}

# A call to a tool with one constraint on `x`, which is given.
given(constraint, x) := calling([object.union({"argument": "x"}, constraint)], {"x": x})

calling(constraints, arguments) := json.patch(fixtures.to({"constraints": constraints}), [
	{"op": "add", "path": "/context/arguments", "value": arguments},
	{"op": "add", "path": "/context/urls", "value": urls},
])

# What the gateway reads in the arguments below.
urls := ["https://api.example.com/x", "https://b.example/", "http://192.0.2.7/"]

test_what_is_inside[note] if {
	some note, [constraint, x] in {
		"a path": [{"path_within": ["/ws/a"]}, "/ws/a/b"],
		"a path in the second workspace": [{"path_within": ["/ws/a", "/ws/b"]}, "/ws/b"],
		"a path in a named workspace": [{"path_within": ["$scratch"]}, "/ws/scratch/x"],
		"a path in one of several": [{"path_within": ["$nowhere", "/ws/a", "$scratch"]}, "/ws/scratch/x"],
		"a list of paths": [{"path_within": ["$scratch"]}, ["/ws/scratch/x", "/ws/scratch/y"]],
		"a relative path where it may be": [{"path_within": ["$scratch"], "relative_ok": true}, "x/y"],
		"an absolute path where it may be relative": [{"path_within": ["$scratch"], "relative_ok": true}, "/ws/scratch/y"],
		"a URL": [{"host_in": ["api.example.com"]}, "https://api.example.com/x"],
		"a host": [{"host_in": ["*.example.com"]}, "api.example.com"],
		"a list of hosts": [{"host_in": ["a.example", "b.example"]}, ["a.example", "https://b.example/"]],
		"an address": [{"cidr_in": ["192.0.2.0/24"]}, "192.0.2.7"],
		"an address in a URL": [{"cidr_in": ["192.0.2.0/24"]}, "http://192.0.2.7:80/"],
		"the largest number": [{"max": 5}, 5],
		"the smallest number": [{"min": 5}, 5],
		"a number between": [{"min": 1, "max": 5}, 3],
		"numbers between": [{"min": 1, "max": 5}, [1, 5]],
		"the longest text": [{"max_length": 3}, "abc"],
		"text counted in letters": [{"max_length": 3}, "äöü"],
		"the longest list": [{"max_length": 2}, ["long", "longer"]],
		"one of several": [{"one_of": ["a", "b"]}, "b"],
		"the only one": [{"one_of": ["a"]}, "a"],
		"a list of some": [{"one_of": ["a", "b"]}, ["b", "a", "b"]],
		"false, where it may be": [{"one_of": [false, 0]}, false],
		"nothing in an optional list": [{"one_of": ["a"], "optional": true}, []],
	}
	call := given(constraint, x)
	count(rule.deny) == 0 with input as call with data.workspaces as workspaces
	count(rule.deny_tool) == 0 with input as call with data.workspaces as workspaces
}

test_which_path_is_outside[note] if {
	some note, [constraint, x] in {
		"a path": [{"path_within": ["/ws/a"]}, "/ws/ab"],
		"a path with dots": [{"path_within": ["$scratch"]}, "/ws/scratch/../x"],
		"one path of a list": [{"path_within": ["$scratch"]}, ["/ws/scratch/x", "/etc/passwd"]],
		"nothing in a list": [{"path_within": ["$scratch"]}, []],
		"a path in a list in a list": [{"path_within": ["$scratch"]}, [["/ws/scratch/x"]]],
		"a path in no workspace": [{"path_within": []}, "/ws/a"],
		"a path in a workspace nobody knows": [{"path_within": ["$nowhere"]}, "/ws/a"],
		"a path in a workspace that is everything": [{"path_within": ["$everything"]}, "/ws/a"],
		"a path whose workspace is no list": [{"path_within": "/ws/a"}, "/ws/a"],
		"a relative path": [{"path_within": ["$scratch"]}, "x/y"],
		"a relative path where it may not be": [{"path_within": ["$scratch"], "relative_ok": false}, "x/y"],
		"a relative path that may be in text": [{"path_within": ["$scratch"], "relative_ok": "true"}, "x/y"],
		"a relative path that climbs": [{"path_within": ["$scratch"], "relative_ok": true}, "../y"],
		"a path that is a number": [{"path_within": ["$scratch"]}, 7],
		"a path in an object": [{"path_within": ["$scratch"]}, {"p": "/ws/scratch"}],
	}
	call := given(constraint, x)
	ids := fixtures.ids(rule.deny) with input as call with data.workspaces as workspaces
	ids == {"path-outside-workspace"}
}

test_which_value_is_outside[note] if {
	some note, [constraint, x, id] in {
		"a host when the list is text": [{"host_in": "a.example"}, "a.example", "host-not-allowed"],
		"an address when the list is text": [{"cidr_in": "192.0.2.0/24"}, "192.0.2.7", "host-not-allowed"],
		"a value when the list is text": [{"one_of": "a"}, "a", "value-not-in-enumeration"],
		"a URL of another host": [{"host_in": ["api.example.com"]}, "https://evil.example/", "host-not-allowed"],
		"a URL with user information": [
			{"host_in": ["api.example.com"]},
			"https://api.example.com@evil.example/",
			"host-not-allowed",
		],
		"a URL nobody can read": [{"host_in": ["api.example.com"]}, "https:\\\\api.example.com", "host-not-allowed"],
		"one host of a list": [{"host_in": ["a.example"]}, ["a.example", "b.example"], "host-not-allowed"],
		"a host that is a number": [{"host_in": ["2130706433"]}, 2130706433, "host-not-allowed"],
		"a host when none is listed": [{"host_in": []}, "a.example", "host-not-allowed"],
		"an address in another network": [{"cidr_in": ["192.0.2.0/24"]}, "192.0.3.7", "host-not-allowed"],
		"a name where an address is needed": [{"cidr_in": ["0.0.0.0/0"]}, "localhost", "host-not-allowed"],
		"a number that is too large": [{"max": 5}, 5.1, "value-over-cap"],
		"a number that is too small": [{"min": 5}, 4, "value-over-cap"],
		"one number of a list": [{"max": 5}, [1, 6], "value-over-cap"],
		"no number below a cap": [{"max": 5}, false, "value-over-cap"],
		"no number above a floor": [{"min": 5}, {"a": 7}, "value-over-cap"],
		"nothing in a list of numbers": [{"max": 5}, [1, null], "value-over-cap"],
		"a number in text": [{"min": 5}, "7", "value-over-cap"],
		"text below a cap": [{"max": "9"}, "7", "value-over-cap"],
		"a number below a cap of text": [{"max": "9"}, 7, "value-over-cap"],
		"a number above a floor of null": [{"min": null}, 7, "value-over-cap"],
		"text that is too long": [{"max_length": 3}, "abcd", "value-over-cap"],
		"a list that is too long": [{"max_length": 1}, ["a", "b"], "value-over-cap"],
		"text under a cap of text": [{"max_length": "9"}, "abcd", "value-over-cap"],
		"a list under a cap of text": [{"max_length": "9"}, ["a"], "value-over-cap"],
		"a number with a length": [{"max_length": 3}, 7, "value-over-cap"],
		"an object with a length": [{"max_length": 3}, {"a": 1}, "value-over-cap"],
		"none of several": [{"one_of": ["a", "b"]}, "c", "value-not-in-enumeration"],
		"nothing of several": [{"one_of": ["a", "b"]}, [], "value-not-in-enumeration"],
		"a piece of one": [{"one_of": ["abc"]}, "b", "value-not-in-enumeration"],
		"another case": [{"one_of": ["a"]}, "A", "value-not-in-enumeration"],
		"one of a list": [{"one_of": ["a"]}, ["a", "c"], "value-not-in-enumeration"],
		"a number for text": [{"one_of": ["1"]}, 1, "value-not-in-enumeration"],
	}
	fixtures.ids(rule.deny) == {id} with input as given(constraint, x) with data.workspaces as workspaces
}

test_a_url_the_gateway_reads_otherwise_is_refused[note] if {
	constraint := {"host_in": ["api.example.com"]}
	some note, seen in {
		"another host": ["https://evil.example/x"],
		"no URL": [],
		"no list": null,
	}
	call := json.patch(
		given(constraint, "https://api.example.com/x"),
		[{"op": "add", "path": "/context/urls", "value": seen}],
	)
	fixtures.ids(rule.deny) == {"host-not-allowed"} with input as call
}

test_a_url_is_refused_when_the_gateway_tells_none if {
	call := json.patch(
		given({"cidr_in": ["192.0.2.0/24"]}, "http://192.0.2.7/"),
		[{"op": "remove", "path": "/context/urls"}],
	)
	fixtures.ids(rule.deny) == {"host-not-allowed"} with input as call
}

test_every_part_of_a_constraint_counts if {
	constraint := {"min": 1, "max": 5, "one_of": [7]}
	fixtures.ids(rule.deny) == {"value-over-cap", "value-not-in-enumeration"} with input as given(constraint, 9)
}

test_every_constraint_counts if {
	call := calling([{"argument": "x", "max": 5}, {"argument": "y", "max": 5}], {"x": 1, "y": 9})
	fixtures.ids(rule.deny) == {"value-over-cap"} with input as call
}

test_a_refusal_names_the_argument_and_not_its_value if {
	[reason] := [reason | some reason in rule.deny] with input as given({"one_of": ["a"]}, "secret")
	contains(reason.message, "x")
	indexof(reason.message, "secret") == -1
}

test_a_missing_argument_is_refused[note] if {
	constraint := {"argument": "x", "max": 5}
	some note, call in {
		"left out": calling([constraint], {"y": 1}),
		"null": calling([constraint], {"x": null}),
		"not optional": calling([object.union(constraint, {"optional": false})], {}),
		"optional in text": calling([object.union(constraint, {"optional": "true"})], {}),
		"of no arguments": json.patch(calling([constraint], {}), [{"op": "remove", "path": "/context/arguments"}]),
		"of no context": json.patch(calling([constraint], {}), [{"op": "remove", "path": "/context"}]),
		"of a list": calling([constraint], [1]),
		"of null": calling([constraint], null),
		"optional, but of no arguments": json.patch(
			calling([object.union(constraint, {"optional": true})], {}),
			[{"op": "remove", "path": "/context/arguments"}],
		),
	}
	fixtures.ids(rule.deny) == {"argument-missing"} with input as call
}

test_an_optional_argument_may_be_left_out[note] if {
	some note, arguments in {"left out": {}, "null": {"x": null}}
	call := calling([{"argument": "x", "max": 5, "optional": true}], arguments)
	count(rule.deny) == 0 with input as call
	count(rule.deny_tool) == 0 with input as call
}

test_an_optional_argument_that_is_given_counts if {
	call := given({"max": 5, "optional": true}, 6)
	fixtures.ids(rule.deny) == {"value-over-cap"} with input as call
}

test_a_tool_without_constraints_takes_anything if {
	call := json.patch(fixtures.call, [{"op": "add", "path": "/context/arguments", "value": {"x": "/etc/passwd"}}])
	count(rule.deny) == 0 with input as call
	count(rule.deny_tool) == 0 with input as call
}

test_a_constraint_nobody_can_read_takes_the_tool_away[note] if {
	some note, constraints in {
		"a kind nobody knows": [{"argument": "x", "max_lenght": 5}],
		"a kind nobody knows beside a known one": [{"argument": "x", "max": 5, "max_lenght": 5}],
		"no kind": [{"argument": "x"}],
		"no kind, only modifiers": [{"argument": "x", "optional": true, "relative_ok": true}],
		"no argument": [{"max": 5}],
		"an argument that is no name": [{"argument": ["x"], "max": 5}],
		"text": ["x"],
		"null": [null],
		"the second of two": [{"argument": "x", "max": 5}, {"argument": "y"}],
		"no list": {"argument": "x", "max": 5},
		"nothing at all": null,
	}
	fixtures.ids(rule.deny_tool) == {"constraint-unknown"} with input as calling(constraints, {"x": 1, "y": 1})
}

test_every_kind_has_its_reason if {
	object.keys(rule.reason_of) == rule.kinds
}
