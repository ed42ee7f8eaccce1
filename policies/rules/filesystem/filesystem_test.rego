package detent.rules.filesystem_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.filesystem

registry := {"sensitive": [".ssh", ".env"], "self_running": [".bashrc", ".git"]}

guarded(effect, arguments) := json.patch(
	fixtures.to({"effect": effect, "guards": {"filesystem": {"paths": ["path", "to"]}}}),
	[{"op": "add", "path": "/context/arguments", "value": object.union({"path": "/a", "to": "/b"}, arguments)}],
)

refused(call) := ids if {
	ids := fixtures.ids(filesystem.deny) with input as call with data.filesystem as registry
}

test_a_tool_without_a_guard_is_none_of_its_business if {
	count(filesystem.deny) == 0 with input as fixtures.changed("/context/arguments", {"path": "/a/.ssh"})
}

test_ordinary_files_are_read_and_written[note] if {
	some note, call in {
		"a read": guarded("read", {"path": "/srv/a.txt"}),
		"a write": guarded("write", {"path": "/srv/a.txt"}),
		"a read of what runs by itself": guarded("read", {"path": "/a/.bashrc"}),
		"several": guarded("read", {"path": ["/a/b", "/a/c"]}),
		"none": guarded("read", {"path": []}),
	}
	refused(call) == set()
}

test_what_holds_secrets_is_neither_read_nor_written[note] if {
	some note, call in {
		"read": guarded("read", {"path": "/home/a/.ssh/id"}),
		"written": guarded("write", {"path": "/home/a/.env"}),
		"moved there": guarded("write", {"to": "/home/a/.ssh/id"}),
		"one of several": guarded("read", {"path": ["/a", "/b/.ENV"]}),
		"of an effect nobody knows": guarded("touch", {"path": "/b/.env"}),
	}
	refused(call) == {"file-sensitive"}
}

test_what_runs_by_itself_is_not_written[note] if {
	some note, call in {
		"a shell's start": guarded("write", {"path": "/home/a/.bashrc"}),
		"a hook": guarded("irreversible", {"to": "/a/.git/hooks/x"}),
		"of an effect that is missing": json.patch(
			guarded("read", {"path": "/a/.bashrc"}),
			[{"op": "remove", "path": "/resource/manifest/effect"}],
		),
	}
	refused(call) == {"file-runs-by-itself"}
}

test_what_is_no_path_is_refused[note] if {
	some note, path in {"null": null, "a number": 7, "a list in a list": [["/a"]], "nothing": ""}
	refused(guarded("read", {"path": path})) == {"file-sensitive"}
	refused(guarded("write", {"path": path})) == {"file-sensitive", "file-runs-by-itself"}
}

test_a_path_that_is_left_out_is_refused if {
	call := json.patch(guarded("read", {}), [{"op": "remove", "path": "/context/arguments/path"}])
	refused(call) == {"file-sensitive"}
}

test_without_its_lists_nothing_is_ordinary if {
	call := guarded("write", {})
	ids := fixtures.ids(filesystem.deny) with input as call with data.filesystem as {}
	ids == {"file-sensitive", "file-runs-by-itself"}
}
