# Requests go to listed hosts, by listed methods, encrypted. The manifest's `guards.http` says which
# argument is the URL, and which the method when an argument chooses it.
package detent.rules.http_egress

import data.detent.lib.arguments
import data.detent.lib.hosts
import data.detent.lib.reasons
import future.keywords.not

guard := input.resource.manifest.guards.http

deny contains reasons.about("http-not-encrypted", guard.url) if {
	some value in arguments.values(guard.url)
	not is_encrypted(value)
}

deny contains reasons.about("http-request-not-listed", guard.url) if {
	some value in arguments.values(guard.url)
	not is_listed(value)
}

is_encrypted(value) if {
	is_string(value)
	startswith(lower(value), "https://")
}

# An address is no name: it is in nobody's list, whatever the list says.
is_listed(value) if {
	host := hosts.agreed(value, input.context.urls)
	some listed, methods in data.http.hosts
	hosts.listed(host, [listed])
	not hosts.is_address(host)
	method in methods
}

# Without an argument for it the tool only ever gets.
method := "GET" if not guard.method

method := upper(given) if {
	given := arguments.given(guard.method)
	is_string(given)
}
