# A call that costs more risk than the session or the agent has left is refused.
package detent.rules.budget

import data.detent.lib.reasons
import future.keywords.not

deny contains reasons.of(problem(account)) if {
	some account in accounts
	not has_room(account)
}

# A budget that is missing takes part as null, which has no room.
accounts := {
	object.get(input, ["context", "session", "budget", "risk"], null),
	object.get(input, ["context", "session", "agent_budget", "risk"], null),
}

has_room(account) if {
	is_known(account)
	input.resource.manifest.risk <= (account.limit - account.used) - account.held
}

is_known(account) if {
	is_points(account.limit)
	is_points(account.used)
	is_points(account.held)
	is_points(input.resource.manifest.risk)
}

# Rego compares values of any two types, and to it every string is more than every number.
is_points(figure) if {
	is_number(figure)
	figure >= 0
}

problem(account) := "budget-exhausted" if is_known(account)

problem(account) := "budget-unknown" if not is_known(account)
