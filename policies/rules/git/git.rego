# What git must not be told: options in place of revisions, protected branches and files,
# repositories nobody has listed. The manifest's `guards.git` says which arguments these are.
package detent.rules.git

import data.detent.lib.arguments
import data.detent.lib.names
import data.detent.lib.reasons
import future.keywords.not

guard := input.resource.manifest.guards.git

deny contains reasons.about("git-option", name) if {
	some name in guard.revisions
	some value in arguments.values(name)
	not is_revision(value)
}

deny contains reasons.about("git-branch-protected", name) if {
	some name in guard.branches
	some value in arguments.values(name)
	not is_free_branch(value)
}

deny contains reasons.about("git-path-protected", name) if {
	some name in guard.paths
	some item in arguments.values(name)
	not is_free_path(arguments.text(item))
}

deny contains reasons.of("git-repository-not-listed") if {
	guard.repository
	not is_listed
}

# A revision that is left out is git's own choice; one with a leading dash is an option to git.
is_revision(null)

is_revision(value) if {
	is_string(value)
	regex.match(`^[^-\s\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*$`, value)
}

# A branch that is left out is the default branch, which is nobody's. What git takes for no name, such
# as `topic/../main`, may be a protected one once it stands in a URL.
is_free_branch(value) if {
	is_string(value)
	regex.match(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]*(?:/[a-zA-Z0-9_-][a-zA-Z0-9_.-]*)*$`, value)
	not regex.match(`\.\.|\.(?:/|$)`, value)
	not regex.match(`^(?:refs|heads|remotes)/`, value)
	every pattern in data.git.protected_branches {
		not glob.match(pattern, ["/"], lower(value))
	}
}

# To git a wildcard stands for other files, and so does a colon in front; to a URL `%`, `?`, `#` and
# dots lead elsewhere.
is_free_path(path) if {
	regex.match(`^[^:*?\[%#][^*?\[%#]*$`, path)
	not regex.match(`(?:^|/)\.{0,2}/|(?:^|/)\.\.?$`, trim_prefix(path, "/"))
	names.spares(path, data.git.protected_names)
}

is_listed if {
	owner := arguments.given(guard.repository.owner)
	name := arguments.given(guard.repository.name)
	is_name(owner)
	is_name(name)
	some pattern in data.git.repositories
	glob.match(pattern, ["/"], lower(concat("/", [owner, name])))
}

is_name(value) if {
	is_string(value)
	regex.match(`^[a-zA-Z0-9_.-]*[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$`, value)
}
