# The node's probes have no token. They learn whether OPA answers and has its bundle, no more.
package system.authz

allow if {
	input.method == "GET"
	input.path == ["health"]
	input.params in [{}, {"bundles": ["true"]}]
}
