package detent.rules.shell_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.shell

registry := {"commands": ["make test", "ls *", "git diff *", "tar * keep"]}

guarded(arguments) := json.patch(
	fixtures.to({"guards": {"shell": {"command": "command"}}}),
	[{"op": "add", "path": "/context/arguments", "value": arguments}],
)

refused(arguments) := ids if {
	ids := fixtures.ids(shell.deny) with input as guarded(arguments) with data.shell as registry
}

test_a_tool_without_a_guard_is_none_of_its_business if {
	count(shell.deny) == 0 with input as fixtures.changed("/context/arguments", {"command": "rm -rf /"})
}

test_listed_commands_run[command] if {
	some command in ["make test", "ls", "ls src", "ls src/a.b tests", "git diff main"]
	refused({"command": command}) == set()
}

test_other_commands_do_not[command] if {
	some command in [
		"rm -rf src",
		"make",
		"make test deploy",
		"make tests",
		"ls -R",
		"ls @options",
		"ls src --color",
		"git",
		"git push",
		"git diff --output=x",
		"./ls",
		"tar a b",
		"LS",
		"*",
	]
	"shell-command-not-listed" in refused({"command": command})
}

test_what_a_shell_reads_is_refused[note] if {
	some note, command in {
		"a second command": "ls src; rm x",
		"a pipe": "ls src | sh",
		"and": "ls && rm",
		"in the background": "ls &",
		"a command inside": "ls $(rm x)",
		"an old command inside": "ls `rm x`",
		"a variable": "ls $HOME",
		"a redirection": "ls > x",
		"a second line": "ls\nrm x",
		"a quote": "ls 'x'",
		"a wildcard": "ls *",
		"a tilde": "ls ~",
		"braces": "ls {a,b}",
		"a backslash": `ls \-R`,
		"two spaces": "ls  src",
		"a space at the end": "ls ",
		"a tab": "ls\tsrc",
		"an accent": "ls sé",
		"a comment": "ls #x",
	}
	"shell-syntax" in refused({"command": command})
}

test_what_is_no_command_is_refused[note] if {
	some note, arguments in {
		"left out": {},
		"null": {"command": null},
		"a number": {"command": 7},
		"a list": {"command": ["make", "test"]},
		"nothing": {"command": ""},
	}
	refused(arguments) == {"shell-syntax", "shell-command-not-listed"}
}

test_an_object_is_no_command if {
	"shell-syntax" in refused({"command": {"path": "make test"}})
}

test_without_a_list_no_command_runs if {
	ids := fixtures.ids(shell.deny) with input as guarded({"command": "make test"}) with data.shell as {}
	ids == {"shell-command-not-listed"}
}
