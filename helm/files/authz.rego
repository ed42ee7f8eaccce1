# Who may ask the managed OPA what. Loaded as a bundle of its own, apart from the policies: the
# gateway with its token of this start, for a decision, for what to mask in its record, or for its
# health. Nothing else exists: policies and data cannot be read or written, no query of one's own can
# be asked.
package system.authz

# METADATA
# description: Whether this request may be made of the server at all.
# entrypoint: true
default allow := false

allow if {
	input.method == "POST"
	input.path in {
		["v1", "data", "detent", "main", "decision"],
		["v1", "data", "detent", "main", "visible"],
		["v1", "data", "detent", "log", "mask"],
	}
	input.params == {"provenance": ["true"], "strict-builtin-errors": ["true"]}
	is_gateway
}

allow if {
	input.method == "GET"
	input.path == ["health"]
	input.params == {}
	is_gateway
}

is_gateway if crypto.sha256(input.identity) == gateway_sha256

# Only this digest stands in a file; the token lives in the gateway's memory alone.
# regal ignore:unresolved-reference
gateway_sha256 := data.system.authz.token_sha256
