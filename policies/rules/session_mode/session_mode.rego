# What the mode of a session permits.
package detent.rules.session_mode

import data.detent.lib.reasons
import future.keywords.not

modes := {"read_only", "dry_run", "read_write"}

deny_tool contains reasons.of("session-mode-unknown") if {
	not input.context.session.mode in modes
}

deny_tool contains reasons.of("session-read-only") if {
	input.context.session.mode == "read_only"
	not is_read
}

obligations contains {"type": "dry_run"} if {
	input.context.session.mode == "dry_run"
	not is_read
}

# A call is for real only when it says so: anything but a plain `false` is a preview.
obligations contains {"type": "dry_run"} if not input.action.dry_run == false

is_read if input.resource.manifest.effect == "read"
