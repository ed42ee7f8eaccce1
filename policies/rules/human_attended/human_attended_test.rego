package detent.rules.human_attended_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.human_attended

attended := {"roles": ["desk"], "clients": ["cc"]}

asked := json.patch(fixtures.call, [
	{"op": "add", "path": "/subject/roles", "value": ["maintainer", "desk"]},
	{"op": "add", "path": "/resource/server", "value": "cc"},
	{"op": "add", "path": "/resource/manifest/hooks", "value": true},
	{"op": "add", "path": "/context/meta", "value": {"permission_mode": "default"}},
])

changed(path, value) := json.patch(asked, [{"op": "add", "path": path, "value": value}])

without(path) := json.patch(asked, [{"op": "remove", "path": path}])

test_the_person_in_front_of_such_an_agent_may_be_asked[note] if {
	some note, given in {
		"in the usual mode": asked,
		"while edits are accepted": changed("/context/meta/permission_mode", "acceptEdits"),
		"while it plans": changed("/context/meta/permission_mode", "plan"),
	}
	human_attended.obligations == {{"type": "human_attended"}} with input as given with data.attended as attended
}

test_nobody_else_may[note] if {
	some note, given in {
		"another role": changed("/subject/roles", ["maintainer"]),
		"no roles": without("/subject/roles"),
		"a mode that asks nobody": changed("/context/meta/permission_mode", "bypassPermissions"),
		"a mode in which a model answers": changed("/context/meta/permission_mode", "auto"),
		"a mode that is not told": without("/context/meta"),
		"an agent whose hooks cannot ask": changed("/resource/server", "codex"),
		"a tool that Detent carries": without("/resource/manifest/hooks"),
		"a tool nobody knows": without("/resource/manifest"),
	}
	count(human_attended.obligations) == 0 with input as given with data.attended as attended
}

test_without_any_such_role_nobody_may if {
	count(human_attended.obligations) == 0 with input as asked with data.attended as {}
}
