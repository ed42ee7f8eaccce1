# What the decision log must not show of a call. The gateway adds what the tool's schema calls secret
# and what looks like a live secret; what is masked is replaced by a stand-in of the same type.
package detent.log

import future.keywords.not

# What came from the agent, or was made of it.
parts := {"arguments", "extras", "meta", "input_responses"}

# A longer text is content; ids, paths and names are shorter.
longest_text := 256

secret_name := `(?i)(passw(or)?d|passphrase|pwd|secret|token|authorization|cookie|credential|api[_-]?key|private[_-]?key|access[_-]?key|session[_-]?key)s?$`

# A count, such as max_tokens, is none.
count_name := `(?i)(tokens|cookies|credentials|secrets)$`

secret_in_url := `(?i)(://[^/?#\s]*@|[?&;#](access_token|token|api[_-]?key|key|secret|password|passwd|pwd|sig|signature|code)=)`

# METADATA
# description: Pointers (RFC 6901) into the input; `*` stands for any key or index.
# entrypoint: true
mask contains pointer if {
	some part in parts
	walk(input.context[part], [path, value])
	is_hidden(path, value)
	pointer := concat("/", array.concat(["", "context", part], [step(name) | some name in path]))
}

is_hidden(path, value) if {
	is_string(value)
	some name in path
	regex.match(secret_name, sprintf("%v", [name]))
}

is_hidden(path, value) if {
	is_number(value)
	some name in path
	regex.match(secret_name, sprintf("%v", [name]))
	not regex.match(count_name, sprintf("%v", [name]))
}

is_hidden(_, value) if {
	is_string(value)
	count(value) > longest_text
}

is_hidden(_, value) if {
	is_string(value)
	regex.match(secret_in_url, value)
}

step(name) := replace(replace(sprintf("%v", [name]), "~", "~0"), "/", "~1")
