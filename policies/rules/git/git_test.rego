package detent.rules.git_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.git

registry := {
	"protected_branches": ["main", "release/*"],
	"protected_names": [".git", ".github"],
	"repositories": ["acme/*", "other/one", "*/tools"],
}

guarded(guard, arguments) := json.patch(
	fixtures.to({"guards": {"git": guard}}),
	[{"op": "add", "path": "/context/arguments", "value": arguments}],
)

refused(guard, arguments) := ids if {
	ids := fixtures.ids(git.deny) with input as guarded(guard, arguments) with data.git as registry
}

test_a_tool_without_a_guard_is_none_of_its_business if {
	count(git.deny) == 0 with input as fixtures.changed("/context/arguments", {"x": "--output=x"})
}

test_what_may_be_told[note] if {
	some note, [guard, arguments] in {
		"a branch": [{"revisions": ["x"]}, {"x": "topic"}],
		"a range": [{"revisions": ["x"]}, {"x": "HEAD~3..main@{1}"}],
		"a revision that is left out": [{"revisions": ["x"]}, {}],
		"revisions": [{"revisions": ["x", "y"]}, {"x": ["a", "b"], "y": "c"}],
		"a free branch": [{"branches": ["x"]}, {"x": "topic/Main"}],
		"a branch below a protected one": [{"branches": ["x"]}, {"x": "release/a/b"}],
		"a branch with dots": [{"branches": ["x"]}, {"x": "fix/v1.2.3/-a_b"}],
		"a file": [{"paths": ["x"]}, {"x": "src/main.py"}],
		"a file by its whole path": [{"paths": ["x"]}, {"x": "/srv/a b/..c/d..e/f:g.txt"}],
		"a folder": [{"paths": ["x"]}, {"x": "src/"}],
		"files with their content": [{"paths": ["x"]}, {"x": [{"path": "a", "content": ".git"}]}],
		"no files": [{"paths": ["x"]}, {"x": []}],
		"a name with dots": [{"repository": {"owner": "o", "name": "n"}}, {"o": "acme", "n": ".a..b"}],
		"a repository": [{"repository": {"owner": "o", "name": "n"}}, {"o": "Acme", "n": "web.site"}],
		"another one": [{"repository": {"owner": "o", "name": "n"}}, {"o": "other", "n": "one"}],
	}
	refused(guard, arguments) == set()
}

test_an_option_is_no_revision[note] if {
	some note, value in {
		"short": "-p",
		"long": "--output=/etc/passwd",
		"one of several": ["main", "--upload-pack=x"],
		"two words": "main --output=x",
		"two lines": "main\nx",
		"a null byte": "main\u0000",
		"nothing": "",
		"a number": 1,
		"a list in a list": [["main"]],
		"an object": {"path": "main"},
	}
	refused({"revisions": ["x"]}, {"x": value}) == {"git-option"}
}

test_a_branch_nobody_may_write_to[note] if {
	some note, arguments in {
		"protected": {"x": "main"},
		"in capitals": {"x": "MAIN"},
		"by a pattern": {"x": "release/1.0"},
		"by its whole name": {"x": "refs/heads/topic"},
		"by half of it": {"x": "heads/main"},
		"of a remote": {"x": "remotes/origin/main"},
		"one of several": {"x": ["topic", "main"]},
		"around a corner": {"x": "topic/../main"},
		"by a dot at the end": {"x": "main/."},
		"by a dot in the middle": {"x": "a/./b"},
		"by a part that ends with a dot": {"x": "a./b"},
		"by a dot after it": {"x": "main."},
		"by a slash at the end": {"x": "main/"},
		"by two slashes": {"x": "a//main"},
		"two dots in a part": {"x": "a..main"},
		"an option": {"x": "--force"},
		"a push to another name": {"x": "topic:main"},
		"a plus": {"x": "+main"},
		"two words": {"x": "topic main"},
		"a number": {"x": 1},
		"left out": {},
		"null": {"x": null},
	}
	refused({"branches": ["x"]}, arguments) == {"git-branch-protected"}
}

test_without_a_list_of_branches_none_is_free if {
	call := guarded({"branches": ["x"]}, {"x": "topic"})
	fixtures.ids(git.deny) == {"git-branch-protected"} with input as call with data.git as {}
}

test_a_file_nobody_may_write[note] if {
	some note, arguments in {
		"a hook": {"x": ".git/hooks/post-checkout"},
		"a workflow": {"x": [{"path": ".github/workflows/ci.yml", "content": "x"}]},
		"one of several": {"x": ["a", "b/.git/config"]},
		"no text": {"x": [1]},
		"nothing": {"x": ""},
		"whatever there is": {"x": ["*"]},
		"a workflow by a wildcard": {"x": ".gith?b/ci.yml"},
		"a workflow by a class": {"x": "a/[.]github/ci.yml"},
		"a pathspec with magic": {"x": ":(top)a"},
		"a folder above": {"x": "../../evil/web/a"},
		"a folder above in the middle": {"x": "a/../b"},
		"a folder above at the end": {"x": "a/.."},
		"here": {"x": "."},
		"here, in the middle": {"x": "a/./b"},
		"two slashes": {"x": "a//b"},
		"a dot in other letters": {"x": "%2egithub/ci.yml"},
		"a query": {"x": "a.txt?branch=main"},
		"a fragment": {"x": "a#b"},
		"left out": {},
	}
	refused({"paths": ["x"]}, arguments) == {"git-path-protected"}
}

test_a_repository_nobody_listed[note] if {
	some note, arguments in {
		"of another owner": {"o": "evil", "n": "web"},
		"of the same owner, not listed": {"o": "other", "n": "two"},
		"with a slash": {"o": "acme/web", "n": ""},
		"an owner with a slash": {"o": "acme/web", "n": "one"},
		"a name with a slash": {"o": "other", "n": "one/two"},
		"no owner": {"n": "web"},
		"a name of dots": {"o": "acme", "n": ".."},
		"an owner that is a dot": {"o": ".", "n": "tools"},
		"an owner of no letters": {"o": "", "n": "tools"},
		"a name of no letters": {"o": "acme", "n": ""},
		"no name": {"o": "acme"},
		"a number": {"o": "acme", "n": 7},
		"an owner that is a list": {"o": ["acme"], "n": "web"},
	}
	refused({"repository": {"owner": "o", "name": "n"}}, arguments) == {"git-repository-not-listed"}
}

test_a_refusal_names_the_argument_and_not_its_value if {
	[reason] := [reason | some reason in git.deny] with input as guarded({"revisions": ["x"]}, {"x": "--secret"})
		with data.git as registry
	contains(reason.message, "Argument: x.")
	not contains(reason.message, "secret")
}
