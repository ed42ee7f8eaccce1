package detent.visible_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.main
import future.keywords.not

roles := {
	"maintainer": {"tools": ["repo/*", "tickets/*"]},
	"reader": {"tools": ["repo/git_log", "tickets/list_rows"]},
	"nobody": {},
}

listed(subject, mode, resources) := ids if {
	ids := main.visible with data.roles as roles with input as {
		"subject": subject,
		"action": {"name": "tools/list"},
		"resources": resources,
		"context": {"session": {"mode": mode}},
	}
}

as_tool(id, fields) := {
	"type": "tool",
	"id": id,
	"server": split(id, "/")[0],
	"tool": split(id, "/")[1],
	"manifest": object.union(fixtures.manifest, fields),
}

tools := [
	as_tool("tickets/list_rows", {"effect": "read"}),
	as_tool("tickets/delete_row", {"effect": "irreversible"}),
	as_tool("tickets/touch", {"effect": "touch"}),
	as_tool("tickets/typo", {"effect": "read", "constraints": [{"argument": "x", "max_lenght": 1}]}),
	as_tool("repo/git_log", {"effect": "read", "constraints": [{"argument": "x", "max": 1}]}),
	as_tool("repo/git_commit", {"effect": "write", "sinks": ["message"]}),
	as_tool("repo/git_static", {"effect": "write", "credential": {"broker": "static"}}),
]

test_a_list_is_sorted_and_holds_what_can_be_called if {
	listed(fixtures.subject, "read_write", tools) == [
		"repo/git_commit",
		"repo/git_log",
		"tickets/delete_row",
		"tickets/list_rows",
	]
}

test_a_list_follows_mode_and_roles[note] if {
	some note, [names, mode, ids] in {
		"only reads": [["maintainer"], "read_only", ["repo/git_log", "tickets/list_rows"]],
		"previews": [["reader"], "dry_run", ["repo/git_log", "tickets/list_rows"]],
		"a role without tools": [["nobody"], "read_write", []],
		"no role": [[], "read_write", []],
		"a mode nobody knows": [["maintainer"], "admin", []],
	}
	listed(object.union(fixtures.subject, {"roles": names}), mode, tools) == ids
}

test_a_list_without_its_question_is_empty[note] if {
	some note, question in {
		"nothing": {},
		"no subject": {"resources": tools, "context": {"session": {"mode": "read_write"}}},
		"no mode": {"resources": tools, "subject": fixtures.subject},
		"no resources": {"subject": fixtures.subject, "context": {"session": {"mode": "read_write"}}},
	}
	main.visible == [] with input as question with data.roles as roles
}

test_a_list_without_an_input_is_empty if main.visible == []

# Whoever may see a tool may call it with some arguments, and nobody else may.
test_a_list_and_a_call_never_disagree[sprintf("%v, %v", [role, mode])] if {
	some role in ["maintainer", "reader"]
	some mode in ["read_only", "dry_run", "read_write", "admin"]
	subject := object.union(fixtures.subject, {"roles": [role]})
	listed(subject, mode, few) == sort({tool.id | some tool in few; is_callable(subject, mode, tool)})
}

few := [tool | some tool in tools; not tool.id in {"tickets/touch", "tickets/typo", "repo/git_static"}]

is_callable(subject, mode, tool) if {
	call := json.patch(fixtures.call, [
		{"op": "add", "path": "/subject", "value": subject},
		{"op": "add", "path": "/resource", "value": tool},
		{"op": "add", "path": "/action/effect", "value": tool.manifest.effect},
		{"op": "add", "path": "/context/session/mode", "value": mode},
		{"op": "add", "path": "/context/arguments", "value": {"x": 1}},
	])
	decision := main.decision with input as call with data.roles as roles
	decision.verdict != "deny"
}
