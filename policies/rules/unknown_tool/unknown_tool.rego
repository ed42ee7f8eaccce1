# A tool that is not in the manifest does not exist.
package detent.rules.unknown_tool

import data.detent.lib.reasons
import future.keywords.not

effects := {"read", "write", "irreversible"}

deny_tool contains reasons.of("unknown-tool") if not is_known

deny contains reasons.of("effect-mismatch") if {
	not input.action.effect == input.resource.manifest.effect
}

is_known if {
	resource := input.resource
	resource.manifest.effect in effects
	resource.id == concat("/", [resource.server, resource.tool])
}
