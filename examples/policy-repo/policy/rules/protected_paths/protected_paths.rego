# Some places of a repository decide what everybody runs: agents do not change them.
package detent.rules.protected_paths

import data.detent.lib.reasons
import future.keywords.not

# Without a list nobody knows what is protected, so nothing is changed.
# lint: rule-not-missed: the suite of this rule runs at every load and fails without it
deny contains reasons.of("protected-path") if {
	not is_reading
	not is_array(data.protected.paths)
}

deny contains reasons.about("protected-path", name) if {
	not is_reading
	some name, value in object.get(input.context, "arguments", {})
	some path in texts(value)
	matches(path, data.protected.paths)
	not matches(path, object.get(data.protected, "open", []))
}

is_reading if input.resource.manifest.effect == "read"

texts(value) := {text |
	walk(value, [_, text])
	is_string(text)
}

# In lower case: some file systems take two spellings for one file.
matches(path, patterns) if {
	some pattern in patterns
	glob.match(pattern, ["/"], lower(path))
}
