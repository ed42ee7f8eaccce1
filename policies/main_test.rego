package detent.main_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.main

roles := {"maintainer": {"tools": ["repo/*"]}}

decided(call) := decision if {
	decision := main.decision with input as call with data.roles as roles
}

refused(call) := fixtures.ids(decided(call).reasons) if decided(call).verdict == "deny"

test_an_allow_is_a_whole_decision if {
	decided(fixtures.call) == {
		"verdict": "allow",
		"reasons": [{"id": "role-allows-tool", "message": "A role of the caller allows this tool."}],
		"obligations": [],
		"grant": {"broker": "none", "audience": "", "scope": [], "ttl": 30},
		"cost": {"risk": 5},
		"labels": [],
	}
}

test_a_hold_is_a_whole_decision if {
	decided(held) == {
		"verdict": "hold",
		"reasons": [{
			"id": "approval-required",
			"message": "This call cannot be undone; an operator has to approve it.",
		}],
		"obligations": [],
		"grant": {"broker": "none", "audience": "", "scope": [], "ttl": 30},
		"cost": {"risk": 5},
		"labels": [],
	}
}

test_a_hold_has_what_an_allow_would_have[note] if {
	some note, fields in {
		"a grant": {"credential": {"broker": "jwt", "audience": "tickets", "ceiling": ["rows:delete"]}},
		"a label": {"returns": "untrusted"},
		"a cost": {"risk": 20},
	}
	held_call := decided(fixtures.to(object.union(fields, {"effect": "irreversible"})))
	allowed := decided(fixtures.to(fields))
	held_call.verdict == "hold"
	allowed.verdict == "allow"
	every member in ["obligations", "grant", "cost", "labels"] {
		held_call[member] == allowed[member]
	}
}

test_a_hold_whose_credential_nobody_can_read_is_refused if {
	refused(fixtures.to({"effect": "irreversible", "credential": "jwt"})) == {"default-deny"}
}

test_a_refusal_is_a_whole_decision if {
	decided(fixtures.changed("/context/flags", ["bidi"])) == {
		"verdict": "deny",
		"reasons": [{
			"id": "suspicious-characters",
			"message": "The arguments hold hidden characters or a URL that can be read in two ways; send them plainly.",
		}],
		"obligations": [],
		"grant": null,
		"cost": {"risk": 0},
		"labels": [],
	}
}

test_whatever_is_no_question_is_refused[note] if {
	some note, question in {
		"nothing": {},
		"null": null,
		"text": "allow",
		"a list": [fixtures.call],
		"no subject": fixtures.without("/subject"),
		"no resource": fixtures.without("/resource"),
		"no context": fixtures.without("/context"),
		"no session": fixtures.without("/context/session"),
		"no mode": fixtures.without("/context/session/mode"),
	}
	decided(question) == {
		"verdict": "deny",
		"reasons": [{"id": "default-deny", "message": "No rule allows this call."}],
		"obligations": [],
		"grant": null,
		"cost": {"risk": 0},
		"labels": [],
	}
}

test_no_input_is_refused if main.decision.verdict == "deny"

test_without_an_action_the_call_is_refused if {
	refused(fixtures.without("/action")) == {"action-unknown", "effect-mismatch"}
}

test_a_refusal_has_every_reason_in_order if {
	call := json.patch(fixtures.changed("/context/flags", ["bidi"]), [
		{"op": "add", "path": "/subject/roles", "value": []},
		{"op": "add", "path": "/context/session/mode", "value": "read_only"},
	])
	reasons := [reason.id | some reason in decided(call).reasons]
	reasons == ["role-not-allowed", "session-read-only", "suspicious-characters"]
}

held := fixtures.to({"effect": "irreversible"})

test_a_denial_beats_a_hold[note] if {
	some note, [path, value, id] in {
		"for the call": ["/context/flags", ["bidi"], "suspicious-characters"],
		"for the tool": ["/subject/roles", [], "role-not-allowed"],
	}
	refused(json.patch(held, [{"op": "add", "path": path, "value": value}])) == {id}
}

test_a_hold_needs_an_allowance if {
	decision := main.decision with input as held
		with data.roles as roles
		with data.detent.rules.role_allowlist.allow as set()
	decision.verdict == "deny"
	fixtures.ids(decision.reasons) == {"default-deny"}
}

test_what_no_rule_allows_is_refused if {
	decision := main.decision with input as fixtures.call
		with data.roles as roles
		with data.detent.rules.role_allowlist.allow as set()
	decision.verdict == "deny"
	fixtures.ids(decision.reasons) == {"default-deny"}
}

test_the_default_is_named_only_when_no_rule_refuses if {
	refused(fixtures.changed("/subject/roles", [])) == {"role-not-allowed"}
}

test_a_dry_run_is_an_obligation_of_an_allow if {
	decision := decided(fixtures.changed("/context/session/mode", "dry_run"))
	decision.verdict == "allow"
	decision.obligations == [{"type": "dry_run"}]
}

test_a_hold_keeps_its_obligations if {
	call := json.patch(
		fixtures.to({"effect": "irreversible"}),
		[{"op": "add", "path": "/context/session/mode", "value": "dry_run"}],
	)
	decision := decided(call)
	decision.verdict == "hold"
	decision.obligations == [{"type": "dry_run"}]
}

test_the_grant_is_the_manifests_ceiling[note] if {
	some note, [credential, grant] in {
		"a whole one": [
			{"broker": "jwt", "audience": "tickets", "ceiling": ["rows:read"], "ttl": 10},
			{"broker": "jwt", "audience": "tickets", "scope": ["rows:read"], "ttl": 10},
		],
		"the usual life": [
			{"broker": "jwt", "audience": "tickets", "ceiling": ["rows:read"]},
			{"broker": "jwt", "audience": "tickets", "scope": ["rows:read"], "ttl": 30},
		],
		"a life that is too long": [
			{"broker": "jwt", "audience": "tickets", "ceiling": ["rows:read"], "ttl": 3600},
			{"broker": "jwt", "audience": "tickets", "scope": ["rows:read"], "ttl": 60},
		],
		"a life that is no number": [
			{"broker": "jwt", "audience": "tickets", "ceiling": ["rows:read"], "ttl": "3600"},
			{"broker": "jwt", "audience": "tickets", "scope": ["rows:read"], "ttl": 60},
		],
		"nothing told": [{}, {"broker": "none", "audience": "", "scope": [], "ttl": 30}],
	}
	decision := decided(fixtures.to({"credential": credential}))
	decision.verdict == "allow"
	decision.grant == grant
}

test_a_tool_without_a_credential_gets_none if {
	decided(fixtures.without("/resource/manifest/credential")).grant.broker == "none"
}

test_a_credential_nobody_can_read_refuses_the_call[note] if {
	some note, credential in {"text": "jwt", "null": null, "a list": ["jwt"]}
	refused(fixtures.to({"credential": credential})) == {"default-deny"}
}

test_what_comes_back_is_untrusted_unless_the_manifest_says_otherwise[note] if {
	some note, call in {
		"untrusted": fixtures.changed("/resource/manifest/returns", "untrusted"),
		"a word nobody knows": fixtures.changed("/resource/manifest/returns", "Trusted"),
		"missing": fixtures.without("/resource/manifest/returns"),
	}
	decision := decided(call)
	decision.verdict == "allow"
	decision.labels == ["untrusted_content"]
}

test_a_rule_that_says_true_in_place_of_a_set_is_told[name] if {
	some name in ["deny", "deny_tool", "hold", "obligations"]
	"rule-missing" in refused(fixtures.call) with data.detent.rules.another as {name: true}
}

# A call cannot take a rule away, and neither can a test: it hides one of its sets behind `false`.
test_no_call_passes_without_the_deny_of_argument_constraints if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.argument_constraints.deny as false
}

test_no_call_passes_without_the_deny_tool_of_argument_constraints if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.argument_constraints.deny_tool as false
}

test_no_call_passes_without_the_deny_of_budget if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.budget.deny as false
}

test_no_call_passes_without_the_deny_of_caller if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.caller.deny as false
}

test_no_call_passes_without_the_deny_tool_of_caller if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.caller.deny_tool as false
}

test_no_call_passes_without_the_obligations_of_human_attended if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.human_attended.obligations as false
}

test_no_call_passes_without_the_deny_of_information_flow if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.information_flow.deny as false
}

test_no_call_passes_without_the_hold_of_irreversible if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.irreversible.hold as false
}

test_no_call_passes_without_the_allow_of_role_allowlist if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.role_allowlist.allow as false
}

test_no_call_passes_without_the_deny_tool_of_role_allowlist if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.role_allowlist.deny_tool as false
}

test_no_call_passes_without_the_deny_tool_of_session_mode if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.session_mode.deny_tool as false
}

test_no_call_passes_without_the_obligations_of_session_mode if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.session_mode.obligations as false
}

test_no_call_passes_without_the_deny_tool_of_static_credentials if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.static_credentials.deny_tool as false
}

test_no_call_passes_without_the_deny_of_suspicious_text if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.suspicious_text.deny as false
}

test_no_call_passes_without_the_deny_of_unknown_tool if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.unknown_tool.deny as false
}

test_no_call_passes_without_the_deny_tool_of_unknown_tool if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.unknown_tool.deny_tool as false
}

test_no_call_passes_without_the_deny_of_filesystem if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.filesystem.deny as false
}

test_no_call_passes_without_the_deny_of_git if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.git.deny as false
}

test_no_call_passes_without_the_deny_of_http_egress if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.http_egress.deny as false
}

test_no_call_passes_without_the_deny_of_shell if {
	"rule-missing" in refused(fixtures.call) with data.detent.rules.shell.deny as false
}
