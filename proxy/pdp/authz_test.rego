package system.authz_test

import data.system.authz

digest := crypto.sha256("the token")

decision := {
	"method": "POST",
	"path": ["v1", "data", "detent", "main", "decision"],
	"params": {"provenance": ["true"], "strict-builtin-errors": ["true"]},
	"identity": "the token",
}

visible := changed(decision, {"path": ["v1", "data", "detent", "main", "visible"]})

mask := changed(decision, {"path": ["v1", "data", "detent", "log", "mask"]})

health := {"method": "GET", "path": ["health"], "params": {}, "identity": "the token"}

# Replaces members whole, where object.union would merge them.
changed(request, change) := object.union(object.remove(request, object.keys(change)), change)

test_the_gateway_asks_for_decisions_lists_masks_and_health if {
	every request in [decision, visible, mask, health] {
		authz.allow with input as request with authz.gateway_sha256 as digest
	}
}

test_any_other_request_is_refused if {
	every change in [
		{"identity": "another token"},
		{"identity": ""},
		{"method": "GET"},
		{"method": "PUT"},
		{"method": "PATCH"},
		{"params": {}},
		{"params": {"provenance": ["true"], "strict-builtin-errors": ["true"], "explain": ["full"]}},
		{"params": {"provenance": ["true"], "strict-builtin-errors": ["false"]}},
		{"path": ["v1", "data", "detent", "main"]},
		{"path": ["v1", "data", "detent", "main", "decision", "reasons"]},
		{"path": ["v1", "data", "system", "authz", "allow"]},
		{"path": ["v0", "data", "detent", "main", "decision"]},
		{"path": ["v1", "policies", "main"]},
		{"path": ["v1", "compile"]},
		{"path": ["v1", "query"]},
		{"path": [""]},
	] {
		request := changed(decision, change)
		not authz.allow with input as request with authz.gateway_sha256 as digest
	}
}

test_nobody_without_a_token if {
	every request in [decision, visible, health] {
		anonymous := object.remove(request, ["identity"])
		not authz.allow with input as anonymous with authz.gateway_sha256 as digest
	}
}

test_health_takes_no_parameters_and_no_post if {
	every change in [{"params": {"bundles": ["true"]}}, {"method": "POST"}] {
		request := changed(health, change)
		not authz.allow with input as request with authz.gateway_sha256 as digest
	}
}

test_without_a_digest_nobody_is_the_gateway if {
	not authz.allow with input as decision
}
