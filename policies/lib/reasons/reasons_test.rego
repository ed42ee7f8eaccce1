package detent.lib.reasons_test

import data.detent.lib.reasons

test_a_reason_has_its_sentence if {
	given := reasons.of("unknown-tool") with data.reasons as {"unknown-tool": "No such tool."}
	given == {"id": "unknown-tool", "message": "No such tool."}
}

test_a_reason_without_a_sentence_is_still_a_reason if {
	given := reasons.of("unknown-tool") with data.reasons as {}
	given == {"id": "unknown-tool", "message": "No sentence is written for this reason."}
}

test_a_reason_about_an_argument_names_it if {
	given := reasons.about("value-over-cap", "max_count") with data.reasons as {"value-over-cap": "Too much."}
	given == {"id": "value-over-cap", "message": "Too much. Argument: max_count."}
}
