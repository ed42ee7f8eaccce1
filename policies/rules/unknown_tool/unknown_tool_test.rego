package detent.rules.unknown_tool_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.unknown_tool
import future.keywords.not

test_a_tool_of_each_effect_is_known[effect] if {
	some effect in ["read", "write", "irreversible"]
	count(unknown_tool.deny_tool) == 0 with input as fixtures.to({"effect": effect})
	count(unknown_tool.deny) == 0 with input as fixtures.to({"effect": effect})
}

test_a_tool_is_unknown_without[path] if {
	some path in [
		"/resource",
		"/resource/manifest",
		"/resource/manifest/effect",
		"/resource/id",
		"/resource/server",
		"/resource/tool",
	]
	fixtures.ids(unknown_tool.deny_tool) == {"unknown-tool"} with input as fixtures.without(path)
}

test_a_tool_is_unknown_with[note] if {
	some note, [path, value] in {
		"no manifest": ["/resource/manifest", null],
		"a manifest that is a list": ["/resource/manifest", []],
		"an effect nobody knows": ["/resource/manifest/effect", "delete"],
		"an effect in capitals": ["/resource/manifest/effect", "READ"],
		"a list of effects": ["/resource/manifest/effect", ["read"]],
		"the name of another server": ["/resource/server", "tickets"],
		"the name of another tool": ["/resource/tool", "git_log"],
		"another id": ["/resource/id", "repo/git_log"],
	}
	fixtures.ids(unknown_tool.deny_tool) == {"unknown-tool"} with input as fixtures.changed(path, value)
}

test_an_effect_told_in_two_ways_is_refused[note] if {
	some note, told in {
		"another one": fixtures.changed("/action/effect", "read"),
		"none in the action": fixtures.without("/action/effect"),
		"none in the manifest": fixtures.without("/resource/manifest/effect"),
		"no action": fixtures.without("/action"),
	}
	fixtures.ids(unknown_tool.deny) == {"effect-mismatch"} with input as told
}
