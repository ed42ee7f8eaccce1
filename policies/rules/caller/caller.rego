# Who may call at all: agents, calling tools, at most two delegations away from whom they act for.
package detent.rules.caller

import data.detent.lib.reasons
import future.keywords.not

deny_tool contains reasons.of("caller-not-agent") if not input.subject.type == "agent"

deny_tool contains reasons.of("delegation-too-deep") if {
	not input.subject.delegation_depth in {0, 1, 2}
}

deny contains reasons.of("action-unknown") if not input.action.name == "tools/call"
