# Arguments that can be read in two ways, by a person and by a tool, change nothing.
package detent.rules.suspicious_text

import data.detent.lib.reasons
import future.keywords.not

deny contains reasons.of("suspicious-characters") if {
	not input.resource.manifest.effect == "read"
	not input.context.flags == []
}
