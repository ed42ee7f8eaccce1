package detent.rules.suspicious_text_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.suspicious_text

flagged(effect, flags) := json.patch(
	fixtures.to({"effect": effect}),
	[{"op": "add", "path": "/context/flags", "value": flags}],
)

test_plain_text_passes[effect] if {
	some effect in ["read", "write", "irreversible"]
	count(suspicious_text.deny) == 0 with input as flagged(effect, [])
}

test_a_read_passes_with_any_flag[flag] if {
	some flag in ["bidi", "zero_width", "control", "tag_characters"]
	count(suspicious_text.deny) == 0 with input as flagged("read", [flag])
}

test_a_change_is_refused_with[note] if {
	some note, given in {
		"bidi": flagged("write", ["bidi"]),
		"zero_width": flagged("irreversible", ["zero_width"]),
		"a URL with user information": flagged("write", ["url_userinfo"]),
		"several flags": flagged("write", ["control", "tag_characters"]),
		"a flag this rule has never heard of": flagged("write", ["homoglyphs"]),
		"flags that are no list": flagged("write", null),
		"flags that are missing": fixtures.without("/context/flags"),
		"an effect that is missing": json.patch(
			flagged("write", ["bidi"]),
			[{"op": "remove", "path": "/resource/manifest/effect"}],
		),
	}
	fixtures.ids(suspicious_text.deny) == {"suspicious-characters"} with input as given
}
