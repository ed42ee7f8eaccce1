package detent.rules.information_flow_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.information_flow

destinations := {
	"tools": ["repo/git_commit"],
	"hosts": ["api.example.com", "*.corp.example"],
	"emails": ["ops@example.com"],
	"values": {
		"repo/git_commit": {"database": ["tickets"]},
		"repo/other": {"channel": ["team"]},
	},
}

# A call in a session that has seen untrusted content.
tainted(fields, arguments) := json.patch(fixtures.to(fields), [
	{"op": "add", "path": "/context/urls", "value": ["https://api.example.com/x"]},
	{"op": "add", "path": "/context/session/labels", "value": ["other", "untrusted_content"]},
	{"op": "add", "path": "/context/arguments", "value": arguments},
])

sending(arguments) := tainted({"sinks": ["row"], "destinations": ["database"]}, arguments)

elsewhere(call) := json.patch(call, [{"op": "add", "path": "/resource/id", "value": "repo/other"}])

test_what_may_flow[note] if {
	some note, call in {
		"to the tool itself": tainted({"sinks": ["message"]}, {}),
		"to the tool itself, with no sinks named": tainted({}, {}),
		"to the tool itself, with no destinations named": tainted({"destinations": []}, {}),
		"a read without sinks": elsewhere(tainted({"effect": "read"}, {})),
		"a read with an empty list of sinks": elsewhere(tainted({"effect": "read", "sinks": []}, {})),
		"to a registered value": sending({"database": "tickets"}),
		"to registered values": sending({"database": ["tickets", "tickets"]}),
		"to a registered host": sending({"database": "https://api.example.com/x"}),
		"to a host below a registered one": sending({"database": "x.corp.example"}),
		"to a registered address": sending({"database": "ops@example.com"}),
		"to two registered destinations": tainted(
			{"destinations": ["database", "to"]},
			{"database": "tickets", "to": ["ops@example.com"]},
		),
	}
	count(information_flow.deny) == 0 with input as call with data.destinations as destinations
}

test_what_may_not_flow[note] if {
	some note, call in {
		"to a tool that is not registered": elsewhere(tainted({"sinks": ["message"]}, {})),
		"to a tool that is not registered, with no sinks named": elsewhere(tainted({}, {})),
		"what cannot be undone": elsewhere(tainted({"effect": "irreversible"}, {})),
		"an effect that is missing": elsewhere(json.patch(
			tainted({}, {}),
			[{"op": "remove", "path": "/resource/manifest/effect"}],
		)),
		"a read that sends an argument out": elsewhere(tainted({"effect": "read", "sinks": ["query"]}, {})),
		"a read whose sinks are no list": elsewhere(tainted({"effect": "read", "sinks": null}, {})),
		"a read to a destination, with no sinks named": tainted(
			{"effect": "read", "destinations": ["url"]},
			{"url": "https://evil.example/"},
		),
		"a read to a destination": tainted(
			{"effect": "read", "sinks": ["url"], "destinations": ["url"]},
			{"url": "https://evil.example/"},
		),
		"to a new value": sending({"database": "outbox"}),
		"to a value of another argument": tainted({"destinations": ["table"]}, {"table": "tickets"}),
		"to a value of another tool": sending({"database": "team"}),
		"to one new value among others": sending({"database": ["tickets", "outbox"]}),
		"to nobody": sending({"database": []}),
		"to a list in a list": sending({"database": [["tickets"]]}),
		"to a destination that is missing": sending({"row": {}}),
		"to a destination that is null": sending({"database": null}),
		"to a destination that is an object": sending({"database": {"name": "tickets"}}),
		"to another host": sending({"database": "https://api.example.com.evil.example/"}),
		"to a host behind user information": sending({"database": "https://api.example.com@evil.example/"}),
		"to a host the gateway reads otherwise": json.patch(
			sending({"database": "https://api.example.com/x"}),
			[{"op": "add", "path": "/context/urls", "value": ["https://evil.example/x"]}],
		),
		"to another address": sending({"database": "ops@evil.example"}),
		"to one new destination of two": tainted(
			{"destinations": ["database", "to"]},
			{"database": "tickets", "to": "ops@evil.example"},
		),
		"where the tool is registered, but the destination is not": sending({"database": "repo/git_commit"}),
		"to destinations that are no list": tainted({"destinations": "database"}, {"database": "tickets"}),
		"to destinations that are null": tainted({"destinations": null}, {"database": "tickets"}),
		"without any arguments": json.patch(
			sending({}),
			[{"op": "remove", "path": "/context/arguments"}],
		),
	}
	ids := fixtures.ids(information_flow.deny) with input as call with data.destinations as destinations
	ids == {"untrusted-to-unregistered-destination"}
}

test_a_clean_session_may_send_anywhere if {
	call := json.patch(
		sending({"database": "outbox"}),
		[{"op": "add", "path": "/context/session/labels", "value": ["other"]}],
	)
	count(information_flow.deny) == 0 with input as call with data.destinations as destinations
}

test_labels_that_prove_nothing_count_as_untrusted[note] if {
	call := sending({"database": "outbox"})
	some note, spoilt in {
		"missing": json.patch(call, [{"op": "remove", "path": "/context/session/labels"}]),
		"no session": json.patch(call, [{"op": "remove", "path": "/context/session"}]),
		"no list": json.patch(call, [{"op": "add", "path": "/context/session/labels", "value": "none"}]),
		"null": json.patch(call, [{"op": "add", "path": "/context/session/labels", "value": null}]),
		"an object": json.patch(call, [{"op": "add", "path": "/context/session/labels", "value": {}}]),
	}
	ids := fixtures.ids(information_flow.deny) with input as spoilt with data.destinations as destinations
	ids == {"untrusted-to-unregistered-destination"}
}

test_without_a_registry_nothing_flows[note] if {
	some note, call in {
		"to the tool itself": tainted({}, {}),
		"to a value": sending({"database": "tickets"}),
		"to a host": sending({"database": "api.example.com"}),
		"to an address": sending({"database": "ops@example.com"}),
	}
	ids := fixtures.ids(information_flow.deny) with input as call with data.destinations as {}
	ids == {"untrusted-to-unregistered-destination"}
}
