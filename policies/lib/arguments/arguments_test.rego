package detent.lib.arguments_test

import data.detent.lib.arguments
import data.detent.lib.fixtures_test as fixtures

test_what_is_missing_is_null[note] if {
	some note, call in {
		"the argument": fixtures.changed("/context/arguments", {"y": 1}),
		"all arguments": fixtures.without("/context/arguments"),
		"the context": fixtures.without("/context"),
		"nothing, it is null": fixtures.changed("/context/arguments", {"x": null}),
	}
	arguments.given("x") == null with input as call
	arguments.values("x") == [null] with input as call
}

test_a_list_is_its_items_and_anything_else_is_itself[note] if {
	some note, [value, values] in {
		"text": ["a", ["a"]],
		"an object": [{"a": 1}, [{"a": 1}]],
		"a list": [["a", ["b"]], ["a", ["b"]]],
		"an empty list": [[], []],
	}
	arguments.values("x") == values with input as fixtures.changed("/context/arguments", {"x": value})
}

test_text_is_an_item_or_its_path if {
	arguments.text("a") == "a"
	arguments.text({"path": "a", "content": "b"}) == "a"
}

test_nothing_else_is_text[note] if {
	some note, item in {
		"a number": 1,
		"null": null,
		"a list": ["a"],
		"an object": {"file": "a"},
		"a path that is none": {"path": ["a"]},
	}
	count({text | text := arguments.text(item)}) == 0
}
