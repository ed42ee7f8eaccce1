# Who may call at all: agents, calling tools, at most two delegations away from whom they act for.
package detent.rules.caller

import data.detent.lib.reasons
import future.keywords.not

deny_tool contains reasons.of("caller-not-agent") if not input.subject.type == "agent"

deny_tool contains reasons.of("delegation-too-deep") if {
	not input.subject.delegation_depth in {0, 1, 2}
}

deny contains reasons.of("action-unknown") if not is_action_of_resource

is_action_of_resource if {
	input.resource.type == "tool"
	input.action.name == "tools/call"
}

# Any other method of MCP is a resource of its own, by its name.
is_action_of_resource if {
	input.resource.type == "method"
	contains(input.resource.tool, "/")
	input.action.name == input.resource.tool
}
