# A credential that is not bound to one call may change something only when the manifest says so.
package detent.rules.static_credentials

import data.detent.lib.reasons
import future.keywords.not

deny_tool contains reasons.of("static-write-not-opted-in") if {
	not input.resource.manifest.effect == "read"
	not is_bound_to_call
	not input.resource.manifest.credential.allow_writes == true
}

is_bound_to_call if broker == "none"

is_bound_to_call if broker in data.brokers.bound_to_call

default broker := "none"

broker := input.resource.manifest.credential.broker
