# Detent's decision: the two entry points, the only paths the policy decision point is asked.
#
# A rule is a package under `data.detent.rules`. It adds to any of these sets:
#   allow, deny_tool         reasons known from subject, tool and session mode alone
#   deny, hold, obligations  may depend on the whole call
# A reason is {"id", "message"}, an obligation {"type", …}. Deny beats hold beats allow.
package detent.main

import data.detent.lib.reasons
import future.keywords.not

# The longest life of a credential in seconds, and the usual one.
max_ttl_s := 60

usual_ttl_s := 30

# What is left when anything below is undefined: a whole object that refuses.
default decision := {
	"verdict": "deny",
	"reasons": [{"id": "default-deny", "message": "No rule allows this call."}],
	"obligations": [],
	"grant": null,
	"cost": {"risk": 0},
	"labels": [],
}

# METADATA
# description: What is to be done with one call.
# entrypoint: true
decision := {
	"verdict": "deny",
	"reasons": sort(denials),
	"obligations": [],
	"grant": null,
	"cost": {"risk": 0},
	"labels": [],
} if {
	denials != set()
}

# A hold has everything an allow has: an operator may approve this very decision.
decision := {
	"verdict": "hold",
	"reasons": sort(holds),
	"obligations": sort(obligations),
	"grant": grant,
	"cost": {"risk": input.resource.manifest.risk},
	"labels": labels,
} if {
	denials == set()
	holds != set()
}

decision := {
	"verdict": "allow",
	"reasons": sort(here.allowances),
	"obligations": sort(obligations),
	"grant": grant,
	"cost": {"risk": input.resource.manifest.risk},
	"labels": labels,
} if {
	denials == set()
	holds == set()
}

# METADATA
# description: Sorted ids of the tools that the subject may call with some arguments.
# entrypoint: true
visible := sort({resource.id |
	some resource in input.resources
	standing(input.subject, input.context.session.mode, resource).denials == set()
})

denials := here.denials | call_denials

here := standing(input.subject, input.context.session.mode, input.resource)

# Where a subject stands with a tool, whatever the arguments. A decision and a list share it, and
# the rules it asks see nothing else: that is why the two cannot disagree.
standing(subject, mode, resource) := result if {
	result := tool_standing with input as {
		"subject": subject,
		"resource": resource,
		"context": {"session": {"mode": mode}},
	}
}

tool_standing := {"allowances": allowances, "denials": tool_denials}

allowances contains reason if {
	some reason
	data.detent.rules[_].allow[reason]
}

tool_denials contains reason if {
	some reason
	data.detent.rules[_].deny_tool[reason]
}

tool_denials contains reasons.of("default-deny") if {
	allowances == set()
	not is_refused_by_rule
}

tool_denials contains reasons.of("rule-missing") if not is_every_tool_rule_loaded

tool_denials contains reasons.of("rule-missing") if data.detent.rules[_].deny_tool == true

is_refused_by_rule if data.detent.rules[_].deny_tool[_]

call_denials contains reason if {
	some reason
	data.detent.rules[_].deny[reason]
}

call_denials contains reasons.of("rule-missing") if not is_every_call_rule_loaded

# `deny if …` makes a truth value, which has no members: such a rule would refuse nothing. Name by name, because
# OPA compiles a variable there to a broken wasm module.
call_denials contains reasons.of("rule-missing") if data.detent.rules[_].deny == true

call_denials contains reasons.of("rule-missing") if data.detent.rules[_].hold == true

call_denials contains reasons.of("rule-missing") if data.detent.rules[_].obligations == true

holds contains reason if {
	some reason
	data.detent.rules[_].hold[reason]
}

obligations contains duty if {
	some duty
	data.detent.rules[_].obligations[duty]
}

# A rule that is gone, or has lost one of its sets, must not go unnoticed: it refuses every call.
is_every_tool_rule_loaded if {
	data.detent.rules.argument_constraints.deny_tool
	data.detent.rules.caller.deny_tool
	data.detent.rules.role_allowlist.allow
	data.detent.rules.role_allowlist.deny_tool
	data.detent.rules.session_mode.deny_tool
	data.detent.rules.static_credentials.deny_tool
	data.detent.rules.unknown_tool.deny_tool
}

is_every_call_rule_loaded if {
	data.detent.rules.argument_constraints.deny
	data.detent.rules.budget.deny
	data.detent.rules.caller.deny
	data.detent.rules.filesystem.deny
	data.detent.rules.git.deny
	data.detent.rules.http_egress.deny
	data.detent.rules.human_attended.obligations
	data.detent.rules.information_flow.deny
	data.detent.rules.irreversible.hold
	data.detent.rules.session_mode.obligations
	data.detent.rules.shell.deny
	data.detent.rules.suspicious_text.deny
	data.detent.rules.unknown_tool.deny
}

# The widest credential the manifest permits, for as long as one call needs it.
grant := {
	"broker": object.get(credential, "broker", "none"),
	"audience": object.get(credential, "audience", ""),
	"scope": object.get(credential, "ceiling", []),
	"ttl": min({object.get(credential, "ttl", usual_ttl_s), max_ttl_s}),
}

credential := object.get(input.resource.manifest, "credential", {})

default labels := ["untrusted_content"]

labels := [] if input.resource.manifest.returns == "trusted"
