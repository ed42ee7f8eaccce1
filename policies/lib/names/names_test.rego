package detent.lib.names_test

import data.detent.lib.names

patterns := [".ssh", "id_*", "*.pem"]

test_other_names_are_spared[path] if {
	some path in ["a", "/a/b.txt", "a/.sshd/b", "xid_rsa", "a.pem.txt", "a b/c", "./a", "ü/ö"]
	names.spares(path, patterns)
}

test_a_name_is_found_wherever_it_stands[path] if {
	some path in [
		".ssh",
		"/home/a/.ssh/config",
		".SSH/config",
		"a/.ssh./b",
		"a/.ssh /b",
		"a/id_ed25519",
		"a/b.pem",
		"a/../.ssh",
	]
	count({path | names.spares(path, patterns)}) == 0
}

test_what_can_be_read_in_two_ways_is_not_spared[note] if {
	some note, path in {
		"a backslash": `a\.ssh`,
		"a line break": "a\n.ssh",
		"a null byte": "a\u0000b",
		"nothing": "",
		"a number": 7,
		"null": null,
		"a list": ["a"],
	}
	count({path | names.spares(path, [])}) == 0
}
