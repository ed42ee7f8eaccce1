# Names of files and folders, wherever they stand in a path.
package detent.lib.names

import future.keywords.not

# No part of the path, a text, has one of these names; `*` in a name stands for anything. Case does not
# count, nor do dots and spaces at the end of a part, which some systems drop.
spares(path, patterns) if {
	regex.match(`^[^\\\x00-\x1f\x7f]+$`, path)
	every part in split(lower(path), "/") {
		every pattern in patterns {
			not glob.match(pattern, ["/"], trim_right(part, ". "))
		}
	}
	every pattern in patterns {
		not stands_in(path, pattern)
	}
}

# A place: the path is it, leads below it, or climbs, so that it may.
stands_in(path, pattern) if {
	startswith(pattern, "/")
	regex.match(`^/(?:.*/)?(?:\.{0,2}/|\.\.?$)`, path)
}

stands_in(path, pattern) if startswith(concat("", [lower(path), "/"]), concat("", [pattern, "/"]))
