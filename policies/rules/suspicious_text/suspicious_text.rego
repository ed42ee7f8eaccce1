# Arguments with characters that hide or reorder text change nothing.
package detent.rules.suspicious_text

import data.detent.lib.reasons
import future.keywords.not

deny contains reasons.of("suspicious-characters") if {
	not input.resource.manifest.effect == "read"
	not input.context.flags == []
}
