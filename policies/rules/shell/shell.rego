# A shell runs listed commands only, written so plainly that no shell reads more than words.
# The manifest's `guards.shell` says which argument is the command.
package detent.rules.shell

import data.detent.lib.arguments
import data.detent.lib.reasons
import future.keywords.not

guard := input.resource.manifest.guards.shell

# A tool without the guard has no argument to name, so neither refuses it.
deny contains reasons.about("shell-syntax", guard.command) if not is_plain

deny contains reasons.about("shell-command-not-listed", guard.command) if not is_listed

# Words of plain characters with one space between: no quotes, pipes, variables, redirections,
# wildcards, second commands.
is_plain if {
	command := arguments.given(guard.command)
	is_string(command)
	regex.match(`^[a-zA-Z0-9_./:=@%+,-]+(?: [a-zA-Z0-9_./:=@%+,-]+)*$`, command)
}

is_listed if {
	words := split(arguments.text(arguments.given(guard.command)), " ")
	some listed in data.shell.commands
	matches(words, split(listed, " "))
}

matches(words, listed) if words == listed

matches(words, listed) if {
	fixed := count(listed) - 1
	listed[fixed] == "*"
	array.slice(words, 0, fixed) == array.slice(listed, 0, fixed)
	every word in array.slice(words, fixed, count(words)) {
		not regex.match(`^[-@]`, word)
	}
}
