# Hosts read from arguments, by a grammar so narrow that every parser agrees on the host.
package detent.lib.hosts

import future.keywords.not

# The host that a URL, a name, an address or `host:port` names, in lower case. Undefined for
# whatever is doubtful: user information, backslashes, spaces, percent signs, other schemes.
of(text) := host if {
	some grammar in [url, authority]
	[[_, found, _]] := regex.find_all_string_submatch_n(grammar, text, 1)
	host := lower(trim(found, "[]"))
	is_plausible(host)
}

of(text) := lower(text) if is_ipv6(text)

# The same for any value; of a URL only when the gateway, whose normalised URLs are given, reads
# that host too.
agreed(value, _) := of(value) if {
	is_string(value)
	not contains(value, "://")
}

agreed(value, urls) := host if {
	is_string(value)
	host := of(value)
	some url in urls
	of(url) == host
}

# `api.example.com` matches itself, `*.example.com` every name below it. Patterns are lower case.
listed(host, patterns) if {
	some pattern in patterns
	pattern == host
}

listed(host, patterns) if {
	some pattern in patterns
	startswith(pattern, "*.")
	endswith(host, substring(pattern, 1, -1))
	not is_address(host)
}

# The host is an address in one of the networks. A name is never resolved, so it is in none;
# `127.1` and `0x7f.0.0.1` are names here.
addressed(host, networks) if {
	is_address(host)
	some network in networks
	net.cidr_is_valid(network)
	net.cidr_contains(network, host)
}

# A network of 32 bits can be one of either version, of 128 only of IPv6.
is_address(host) if net.cidr_is_valid(concat("/", [host, "32"]))

is_ipv6(host) if net.cidr_is_valid(concat("/", [host, "128"]))

is_plausible(host) if {
	not contains(host, ":")
	count(host) < 254
}

is_plausible(host) if is_ipv6(host)

# Letters are spelled out: to `(?i)` and to lower() the Kelvin sign is a `k`.
label := `[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?`

place := concat("", [`(`, label, `(?:\.`, label, `)*|\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\])(:[0-9]{1,5})?`])

# The authority is followed by a slash or by nothing: `https://good?@bad/` is read in two ways.
url := concat("", [`^[hH][tT][tT][pP][sS]?://`, place, `(?:/[^\x00-\x20\x7f\\]*)?$`])

authority := concat("", [`^`, place, `$`])
