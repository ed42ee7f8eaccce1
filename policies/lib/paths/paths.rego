# Paths as text: nothing is looked up, so what a symbolic link does is the tool's to confine.
package detent.lib.paths

import future.keywords.not

# The path stands below the root, or is the root. `/` is nobody's workspace.
within(path, root) if {
	is_plain(path)
	is_plain(root)
	startswith(concat("", [path, "/"]), concat("", [trim_suffix(root, "/"), "/"]))
}

# A relative path that cannot leave the directory it is relative to. A leading `-` is an option to
# a command, `~` a home directory to a shell, `:` magic to git.
stays_below(path) if {
	is_string(path)
	is_plain(concat("/", ["", path]))
	not regex.match(`^[-~:]`, path)

	# To a pattern `{..,x}` and `[.][.]` climb as well.
	not regex.match(`[{,\[]\.|\.[\],}?]`, path)
}

# An absolute path that can be read in one way only: no `..`, `.` or empty segments, no
# backslashes, no control characters.
is_plain(path) if {
	is_string(path)
	regex.match(`^(?:/[^/\\\x00-\x1f\x7f]+)+/?$`, path)
	not regex.match(`/\.\.?(?:/|$)`, path)
}
