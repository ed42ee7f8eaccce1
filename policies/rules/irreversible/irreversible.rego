# What cannot be undone waits for a person.
package detent.rules.irreversible

import data.detent.lib.reasons

hold contains reasons.of("approval-required") if {
	input.resource.manifest.effect == "irreversible"
}
