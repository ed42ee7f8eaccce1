# Arguments by the names a manifest gives them; what is missing is null, a value like any other.
package detent.lib.arguments

import future.keywords.not

given(name) := object.get(input, ["context", "arguments", name], null)

# The items of a list; anything else stands for itself.
values(name) := [value] if {
	value := given(name)
	not is_array(value)
}

values(name) := given(name) if is_array(given(name))

# The text an item is, or has as its `path`; undefined for anything else.
text(item) := item if is_string(item)

text(item) := item.path if is_string(item.path)
