package detent.rules.budget_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.budget

account := {"limit": 10, "used": 3, "held": 2}

costing(risk, session, agent) := json.patch(fixtures.to({"risk": risk}), [
	{"op": "add", "path": "/context/session/budget/risk", "value": session},
	{"op": "add", "path": "/context/session/agent_budget/risk", "value": agent},
])

test_a_call_within_both_budgets_passes[risk] if {
	some risk in [0, 1, 5]
	count(budget.deny) == 0 with input as costing(risk, account, account)
}

test_a_call_beyond_a_budget_is_refused[note] if {
	full := {"limit": 100, "used": 0, "held": 0}
	some note, given in {
		"the session's": costing(6, account, full),
		"the agent's": costing(6, full, account),
		"both": costing(6, account, account),
		"one that is overdrawn": costing(0, {"limit": 1, "used": 1, "held": 1}, full),
		"an empty one": costing(1, full, {"limit": 0, "used": 0, "held": 0}),
	}
	fixtures.ids(budget.deny) == {"budget-exhausted"} with input as given
}

test_a_figure_that_is_none_is_refused[sprintf("%v: %v", [place, value])] if {
	some place in [
		"/context/session/budget/risk/limit",
		"/context/session/budget/risk/used",
		"/context/session/budget/risk/held",
		"/context/session/agent_budget/risk/limit",
		"/context/session/agent_budget/risk/used",
		"/context/session/agent_budget/risk/held",
		"/resource/manifest/risk",
	]
	some value in [-1, "5", null, true, [5]]
	given := json.patch(costing(5, account, account), [{"op": "add", "path": place, "value": value}])
	fixtures.ids(budget.deny) == {"budget-unknown"} with input as given
}

test_a_figure_that_is_missing_is_refused[place] if {
	some place in [
		"/context/session/budget",
		"/context/session/budget/risk",
		"/context/session/budget/risk/limit",
		"/context/session/budget/risk/used",
		"/context/session/budget/risk/held",
		"/context/session/agent_budget",
		"/context/session/agent_budget/risk",
		"/context/session/agent_budget/risk/limit",
		"/context/session",
		"/context",
		"/resource/manifest/risk",
		"/resource/manifest",
	]
	fixtures.ids(budget.deny) == {"budget-unknown"} with input as fixtures.without(place)
}
