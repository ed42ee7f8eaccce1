package detent.rules.role_allowlist_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.role_allowlist

roles := {
	"maintainer": {"tools": ["tickets/*", "repo/*"]},
	"reader": {"tools": ["repo/git_log"]},
	"nobody": {"tools": []},
	"anyone": {},
	"everyone": {"tools": ["*"]},
}

test_a_role_allows[note] if {
	some note, held in {
		"by a pattern": ["maintainer"],
		"as one of several": ["nobody", "maintainer"],
	}
	given := fixtures.changed("/subject/roles", held)
	fixtures.ids(role_allowlist.allow) == {"role-allows-tool"} with input as given with data.roles as roles
	count(role_allowlist.deny_tool) == 0 with input as given with data.roles as roles
}

test_no_role_allows[note] if {
	some note, given in {
		"another tool": fixtures.changed("/subject/roles", ["reader"]),
		"a role without tools": fixtures.changed("/subject/roles", ["nobody"]),
		"a role that lists none": fixtures.changed("/subject/roles", ["anyone"]),
		"a star, which stops at the slash": fixtures.changed("/subject/roles", ["everyone"]),
		"a role nobody knows": fixtures.changed("/subject/roles", ["admin"]),
		"no roles": fixtures.changed("/subject/roles", []),
		"roles in no list": fixtures.changed("/subject/roles", "maintainer"),
		"roles that are missing": fixtures.without("/subject/roles"),
		"no subject": fixtures.without("/subject"),
		"a tool of another server": fixtures.changed("/resource/id", "repo2/git_commit"),
		"a tool behind one more slash": fixtures.changed("/resource/id", "repo/git_commit/x"),
		"a tool without an id": fixtures.without("/resource/id"),
	}
	fixtures.ids(role_allowlist.deny_tool) == {"role-not-allowed"} with input as given with data.roles as roles
	count(role_allowlist.allow) == 0 with input as given with data.roles as roles
}

test_without_any_roles_nothing_is_allowed if {
	fixtures.ids(role_allowlist.deny_tool) == {"role-not-allowed"} with input as fixtures.call with data.roles as {}
}
