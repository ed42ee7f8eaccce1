package detent.rules.session_mode_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.session_mode

in_mode(mode, effect) := json.patch(
	fixtures.to({"effect": effect}),
	[{"op": "add", "path": "/context/session/mode", "value": mode}],
)

test_what_each_mode_refuses[note] if {
	some note, [mode, effect, refusals] in {
		"a read when writes are permitted": ["read_write", "read", set()],
		"a write when writes are permitted": ["read_write", "write", set()],
		"what cannot be undone when writes are permitted": ["read_write", "irreversible", set()],
		"a read in a dry run": ["dry_run", "read", set()],
		"a write in a dry run": ["dry_run", "write", set()],
		"what cannot be undone in a dry run": ["dry_run", "irreversible", set()],
		"a read when nothing may change": ["read_only", "read", set()],
		"a write when nothing may change": ["read_only", "write", {"session-read-only"}],
		"what cannot be undone when nothing may change": ["read_only", "irreversible", {"session-read-only"}],
		"an effect nobody knows when nothing may change": ["read_only", "touch", {"session-read-only"}],
		"a read in a mode nobody knows": ["admin", "read", {"session-mode-unknown"}],
		"a read in a mode that is a list": [["read_write"], "read", {"session-mode-unknown"}],
		"a read in a mode of capitals": ["READ_WRITE", "read", {"session-mode-unknown"}],
	}
	fixtures.ids(session_mode.deny_tool) == refusals with input as in_mode(mode, effect)
}

test_a_session_without_a_mode_is_refused[path] if {
	some path in ["/context/session/mode", "/context/session", "/context"]
	fixtures.ids(session_mode.deny_tool) == {"session-mode-unknown"} with input as fixtures.without(path)
}

test_an_effect_that_is_missing_counts_as_a_write if {
	given := json.patch(in_mode("read_only", "read"), [{"op": "remove", "path": "/resource/manifest/effect"}])
	fixtures.ids(session_mode.deny_tool) == {"session-read-only"} with input as given
}

test_what_each_mode_only_previews[note] if {
	some note, [mode, effect, duties] in {
		"a read in a dry run is for real": ["dry_run", "read", set()],
		"a write in a dry run": ["dry_run", "write", {{"type": "dry_run"}}],
		"what cannot be undone in a dry run": ["dry_run", "irreversible", {{"type": "dry_run"}}],
		"a write": ["read_write", "write", set()],
		"a read when nothing may change": ["read_only", "read", set()],
	}
	session_mode.obligations == duties with input as in_mode(mode, effect)
}

test_a_call_is_a_preview_unless_it_says_otherwise[note] if {
	some note, given in {
		"it asks for one": fixtures.changed("/action/dry_run", true),
		"it says nothing": fixtures.without("/action/dry_run"),
		"it says it in text": fixtures.changed("/action/dry_run", "false"),
		"it has no action": fixtures.without("/action"),
	}
	session_mode.obligations == {{"type": "dry_run"}} with input as given
}
