package detent.lib.paths_test

import data.detent.lib.paths
import future.keywords.not

test_what_is_within_a_root[note] if {
	some note, [path, root] in {
		"the root itself": ["/ws/repo", "/ws/repo"],
		"the root with a slash": ["/ws/repo/", "/ws/repo"],
		"a root written with a slash": ["/ws/repo", "/ws/repo/"],
		"a file": ["/ws/repo/a/b.txt", "/ws/repo"],
		"names with dots": ["/ws/repo/..a/.b/c..", "/ws/repo"],
		"names with spaces and letters of any script": ["/ws/repo/ä b/名", "/ws/repo"],
	}
	paths.within(path, root)
}

test_what_is_not_within_a_root[note] if {
	some note, [path, root] in {
		"a sibling with the same prefix": ["/ws/repo-evil", "/ws/repo"],
		"a sibling's file": ["/ws/repo-evil/a", "/ws/repo"],
		"the parent": ["/ws", "/ws/repo"],
		"the file system": ["/", "/ws/repo"],
		"up and away": ["/ws/repo/../x", "/ws/repo"],
		"up at the end": ["/ws/repo/..", "/ws/repo"],
		"up inside": ["/ws/repo/a/../b", "/ws/repo"],
		"a dot segment": ["/ws/repo/./a", "/ws/repo"],
		"a dot at the end": ["/ws/repo/.", "/ws/repo"],
		"an empty segment": ["/ws/repo//a", "/ws/repo"],
		"two slashes first": ["//ws/repo", "/ws/repo"],
		"relative": ["ws/repo", "/ws/repo"],
		"nothing": ["", "/ws/repo"],
		"a backslash": [`/ws/repo/..\x`, "/ws/repo"],
		"NUL": ["/ws/repo/a\u0000", "/ws/repo"],
		"a line break": ["/ws/repo/a\nb", "/ws/repo"],
		"DEL": ["/ws/repo/a\u007f", "/ws/repo"],
		"a number": [7, "/ws/repo"],
		"a list": [["/ws/repo"], "/ws/repo"],
		"null": [null, "/ws/repo"],
		"everything as a root": ["/ws/repo", "/"],
		"no root": ["/ws/repo", ""],
		"a relative root": ["/ws/repo", "ws"],
		"a root with dots": ["/ws/repo/../x", "/ws/repo/.."],
		"a root that is no text": ["/ws/repo", null],
	}
	not paths.within(path, root)
}

test_what_stays_below[note] if {
	some note, path in {
		"a file": "a.txt",
		"a file below": "a/b.txt",
		"a directory": "a/",
		"a dash inside": "a-b/-c",
		"a pattern": "src/**/*.{ts,tsx}",
		"a class": "lib/*.[ch]",
	}
	paths.stays_below(path)
}

test_what_does_not_stay_below[note] if {
	some note, path in {
		"up": "../x",
		"up inside": "a/../../x",
		"here": ".",
		"absolute": "/a",
		"nothing": "",
		"an option": "-rf",
		"a home directory": "~/x",
		"pathspec magic": ":(top)x",
		"up by a choice": "{..,x}/a",
		"up by the last choice": "{x,..}/a",
		"up by classes": "[.][.]/a",
		"up by a letter": ".?/a",
		"a backslash": `a\b`,
		"NUL": "a\u0000",
		"a number": 7,
		"null": null,
	}
	not paths.stays_below(path)
}
