package detent.rules.irreversible_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.irreversible

test_what_cannot_be_undone_is_held if {
	fixtures.ids(irreversible.hold) == {"approval-required"} with input as fixtures.to({"effect": "irreversible"})
}

test_an_approval_is_not_for_the_rule_to_weigh if {
	given := json.patch(
		fixtures.to({"effect": "irreversible"}),
		[{"op": "add", "path": "/context/approvals", "value": [{"id": "apr_1", "by": "oncall"}]}],
	)
	fixtures.ids(irreversible.hold) == {"approval-required"} with input as given
}

test_what_can_be_undone_is_not_held[effect] if {
	some effect in ["read", "write"]
	count(irreversible.hold) == 0 with input as fixtures.to({"effect": effect})
}
