package detent.lib.names_test

import data.detent.lib.names

patterns := [".ssh", "id_*", "*.pem", "/proc", "/etc/shadow"]

test_other_names_are_spared[path] if {
	some path in [
		"a", "/a/b.txt", "a/.sshd/b", "xid_rsa", "a.pem.txt", "a b/c", "./a", "ü/ö",
		"proc/a", "/a/proc", "/process", "/etc/shadows", "etc/shadow", "/a/b/", "/",
	]
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

test_a_place_is_found_however_it_is_led_to[path] if {
	some path in [
		"/proc",
		"/proc/self/environ",
		"/PROC/1",
		"/etc/shadow",
		"//proc/self",
		"/./proc/self",
		"/a/../proc/self",
		"/a//b",
		"/a/..",
		"/a/.",
	]
	count({path | names.spares(path, ["/proc", "/etc/shadow"])}) == 0
}

test_a_path_that_climbs_is_spared_where_no_place_is_named[path] if {
	some path in ["/a/../b", "/a//b"]
	names.spares(path, [".ssh"])
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
