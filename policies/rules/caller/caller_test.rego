package detent.rules.caller_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.caller
import future.keywords.not

test_an_agent_may_call_at_depth[depth] if {
	some depth in [0, 1, 2]
	given := fixtures.changed("/subject/delegation_depth", depth)
	count(caller.deny_tool) == 0 with input as given
	count(caller.deny) == 0 with input as given
}

test_only_agents_may_call[note] if {
	some note, given in {
		"a person": fixtures.changed("/subject/type", "user"),
		"nobody": fixtures.without("/subject/type"),
	}
	fixtures.ids(caller.deny_tool) == {"caller-not-agent"} with input as given
}

test_delegation_ends[note] if {
	some note, given in {
		"at three": fixtures.changed("/subject/delegation_depth", 3),
		"below nothing": fixtures.changed("/subject/delegation_depth", -1),
		"between two": fixtures.changed("/subject/delegation_depth", 0.5),
		"in text": fixtures.changed("/subject/delegation_depth", "1"),
		"where it is not told": fixtures.without("/subject/delegation_depth"),
	}
	fixtures.ids(caller.deny_tool) == {"delegation-too-deep"} with input as given
}

test_a_subject_that_is_missing_is_refused if {
	ids := fixtures.ids(caller.deny_tool) with input as fixtures.without("/subject")
	ids == {"caller-not-agent", "delegation-too-deep"}
}

asked(type, tool, action) := json.patch(fixtures.call, [
	{"op": "add", "path": "/resource/type", "value": type},
	{"op": "add", "path": "/resource/tool", "value": tool},
	{"op": "add", "path": "/action/name", "value": action},
])

test_a_method_is_decided_under_its_own_name if {
	count(caller.deny) == 0 with input as asked("method", "resources/read", "resources/read")
}

test_an_action_is_that_of_its_resource[note] if {
	some note, given in {
		"resources": fixtures.changed("/action/name", "resources/read"),
		"lists": fixtures.changed("/action/name", "tools/list"),
		"a method that is no resource here": fixtures.changed("/resource/type", "method"),
		"a resource without a type": fixtures.without("/resource/type"),
		"another method": asked("method", "resources/read", "resources/list"),
		"a method that is called like a tool": asked("method", "ping", "ping"),
		"a tool under a method's name": asked("tool", "resources/read", "resources/read"),
		"nothing": fixtures.without("/action/name"),
		"no action": fixtures.without("/action"),
	}
	fixtures.ids(caller.deny) == {"action-unknown"} with input as given
}
