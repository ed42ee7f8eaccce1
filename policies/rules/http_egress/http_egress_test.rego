package detent.rules.http_egress_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.http_egress

registry := {"hosts": {
	"api.example.com": ["GET", "POST"],
	"*.docs.example": ["GET"],
	"192.0.2.7": ["GET"],
}}

guarded(guard, arguments) := json.patch(fixtures.to({"guards": {"http": guard}}), [
	{"op": "add", "path": "/context/arguments", "value": arguments},
	{"op": "add", "path": "/context/urls", "value": [
		"https://api.example.com/x",
		"https://a.docs.example/",
		"http://api.example.com/x",
		"https://192.0.2.7/",
		"https://evil.example/",
	]},
])

by_get := {"url": "url"}

by_any := {"url": "url", "method": "method"}

refused(guard, arguments) := ids if {
	ids := fixtures.ids(http_egress.deny) with input as guarded(guard, arguments) with data.http as registry
}

test_a_tool_without_a_guard_is_none_of_its_business if {
	count(http_egress.deny) == 0 with input as fixtures.changed("/context/arguments", {"url": "http://evil.example/"})
}

test_listed_requests_are_sent[note] if {
	some note, [guard, arguments] in {
		"a host": [by_get, {"url": "https://api.example.com/x"}],
		"a scheme in capitals": [by_get, {"url": "HTTPS://api.example.com/x"}],
		"a name below": [by_get, {"url": "https://a.docs.example/"}],
		"several": [by_get, {"url": ["https://api.example.com/x", "https://a.docs.example/"]}],
		"a method": [by_any, {"url": "https://api.example.com/x", "method": "POST"}],
		"a method in small letters": [by_any, {"url": "https://api.example.com/x", "method": "post"}],
		"a method nobody chooses": [by_get, {"url": "https://api.example.com/x", "method": "DELETE"}],
	}
	refused(guard, arguments) == set()
}

test_other_requests_are_not[note] if {
	some note, [guard, arguments] in {
		"another host": [by_get, {"url": "https://evil.example/"}],
		"one of several": [by_get, {"url": ["https://api.example.com/x", "https://evil.example/"]}],
		"an address, though it is listed": [by_get, {"url": "https://192.0.2.7/"}],
		"a URL the gateway does not read": [by_get, {"url": "https://api.example.com?@evil.example/"}],
		"a host the gateway does not see": [by_get, {"url": "https://b.docs.example/"}],
		"user information": [by_get, {"url": "https://api.example.com@evil.example/"}],
		"another method": [by_any, {"url": "https://api.example.com/x", "method": "DELETE"}],
		"a method of another host": [by_any, {"url": "https://a.docs.example/", "method": "POST"}],
		"no method where one is chosen": [by_any, {"url": "https://api.example.com/x"}],
		"a method that is no text": [by_any, {"url": "https://api.example.com/x", "method": ["GET"]}],
	}
	refused(guard, arguments) == {"http-request-not-listed"}
}

test_what_is_not_encrypted_is_refused[note] if {
	some note, url in {
		"http": "http://api.example.com/x",
		"a bare host": "api.example.com",
		"one of several": ["https://api.example.com/x", "http://api.example.com/x"],
	}
	refused(by_get, {"url": url}) == {"http-not-encrypted"}
}

test_what_is_no_url_is_refused[note] if {
	some note, arguments in {
		"left out": {},
		"null": {"url": null},
		"a number": {"url": 7},
		"a list in a list": {"url": [["https://api.example.com/x"]]},
		"another scheme": {"url": "file:///etc/passwd"},
	}
	refused(by_get, arguments) == {"http-not-encrypted", "http-request-not-listed"}
}

test_without_a_list_nothing_is_sent if {
	call := guarded(by_get, {"url": "https://api.example.com/x"})
	fixtures.ids(http_egress.deny) == {"http-request-not-listed"} with input as call with data.http as {}
}
