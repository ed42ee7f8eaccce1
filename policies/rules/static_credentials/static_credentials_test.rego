package detent.rules.static_credentials_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.static_credentials

brokers := {"bound_to_call": ["jwt"]}

lending(effect, credential) := fixtures.to({"effect": effect, "credential": credential})

test_what_may_be_lent[note] if {
	some note, given in {
		"no credential for a write": lending("write", {"broker": "none"}),
		"a bound one for a write": lending("write", {"broker": "jwt"}),
		"a bound one for what cannot be undone": lending("irreversible", {"broker": "jwt"}),
		"a static one for a read": lending("read", {"broker": "static"}),
		"a static one with consent": lending("write", {"broker": "static", "allow_writes": true}),
		"none, because none is named": lending("write", {}),
		"none, because nothing is told": fixtures.without("/resource/manifest/credential"),
	}
	count(static_credentials.deny_tool) == 0 with input as given with data.brokers as brokers
}

test_what_may_not_be_lent[note] if {
	some note, given in {
		"a static one for a write": lending("write", {"broker": "static"}),
		"a static one for what cannot be undone": lending("irreversible", {"broker": "static"}),
		"one by a name nobody knows": lending("write", {"broker": "tickets"}),
		"one by a name that is no text": lending("write", {"broker": null}),
		"a static one without consent": lending("write", {"broker": "static", "allow_writes": false}),
		"a static one with consent in text": lending("write", {"broker": "static", "allow_writes": "true"}),
		"a static one for an effect nobody knows": lending("touch", {"broker": "static"}),
	}
	ids := fixtures.ids(static_credentials.deny_tool) with input as given with data.brokers as brokers
	ids == {"static-write-not-opted-in"}
}

test_without_any_brokers_a_write_needs_consent if {
	call := lending("write", {"broker": "jwt"})
	ids := fixtures.ids(static_credentials.deny_tool) with input as call with data.brokers as {}
	ids == {"static-write-not-opted-in"}
}
