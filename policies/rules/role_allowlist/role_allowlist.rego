# Tools by role: `data.roles.<role>.tools` lists patterns such as `repo/*`.
package detent.rules.role_allowlist

import data.detent.lib.reasons
import future.keywords.not

allow contains reasons.of("role-allows-tool") if is_allowed

deny_tool contains reasons.of("role-not-allowed") if not is_allowed

# `*` does not match a slash, so a pattern never reaches the tools of another server.
is_allowed if {
	some role in input.subject.roles
	some pattern in data.roles[role].tools
	glob.match(pattern, ["/"], input.resource.id)
}
