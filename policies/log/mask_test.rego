package detent.log_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.log

masked(arguments) := pointers if {
	pointers := log.mask with input as fixtures.changed("/context/arguments", arguments)
}

test_what_looks_like_a_secret_is_masked[note] if {
	some note, case in {
		"a password": [{"password": "hunter2"}, "/context/arguments/password"],
		"another case": [{"apiKey": "k"}, "/context/arguments/apiKey"],
		"with a dash": [{"x-api-key": "k"}, "/context/arguments/x-api-key"],
		"a number": [{"secret": 1234}, "/context/arguments/secret"],
		"below a name": [{"credentials": {"user": "ann"}}, "/context/arguments/credentials/user"],
		"in a list": [{"tokens": ["k"]}, "/context/arguments/tokens/0"],
		"a URL with a password": [{"url": "https://ann:pw@host/"}, "/context/arguments/url"],
		"a URL with a token": [{"url": "https://host/?a=b&access_token=k"}, "/context/arguments/url"],
		"a name with a slash": [{"a/b~c": {"token": "k"}}, "/context/arguments/a~1b~0c/token"],
		"long text": [{"body": text(257)}, "/context/arguments/body"],
	}
	masked(case[0]) == {case[1]}
}

test_what_rules_decide_on_is_not[note] if {
	some note, arguments in {
		"a path": {"repo_path": "/srv/app/x.py"},
		"a message": {"message": text(256)},
		"a count of tokens": {"max_tokens": 100},
		"a URL": {"url": "https://host/a?page=2"},
		"a flag": {"token": true},
		"a long list": {"ids": numbers.range(1, 300)},
		"a name that only begins so": {"token_type": "bearer"},
		"nothing": {},
	}
	count(masked(arguments)) == 0
}

test_all_that_the_agent_sent_is_looked_at[part] if {
	some part in ["arguments", "extras", "meta", "input_responses"]
	call := fixtures.changed(sprintf("/context/%v", [part]), {"password": "hunter2"})
	pointers := log.mask with input as call
	pointers == {sprintf("/context/%v/password", [part])}
}

test_what_the_gateway_tells_of_itself_is_not_masked if {
	count(log.mask) == 0 with input as fixtures.changed("/context/session/token", "k")
}

test_a_call_without_arguments_has_nothing_to_mask if {
	count(log.mask) == 0 with input as fixtures.without("/context/arguments")
}

text(length) := concat("", [letter | some _ in numbers.range(1, length); letter := "x"])
