package detent.rules.protected_paths_test

import data.detent.lib.fixtures_test as fixtures
import data.detent.rules.protected_paths

listed := {"paths": ["deploy/**", "**/deploy/**", "infra/*"], "open": ["deploy/notes/*"]}

adding(files) := fixtures.changed("/context/arguments", {"files": files})

test_other_paths_pass[note] if {
	some note, files in {
		"a source": ["src/a.py"],
		"a name that begins alike": ["deployment.md"],
		"below a pattern that ends": ["infra/eu/network.tf"],
		"one that is open": ["deploy/notes/a.md"],
		"no files": [],
	}
	count(protected_paths.deny) == 0 with input as adding(files) with data.protected as listed
}

test_protected_paths_are_refused[note] if {
	some note, files in {
		"at the top": ["deploy/production.yaml"],
		"below": ["src/a.py", "vendor/deploy/x.yaml"],
		"in another case": ["Deploy/production.yaml"],
		"in a list of lists": [["deploy/values.yaml"]],
		"beside what is open": ["deploy/notes/a/b.md"],
	}
	fixtures.ids(protected_paths.deny) == {"protected-path"} with input as adding(files)
		with data.protected as listed
}

test_reads_pass if {
	read := json.patch(
		fixtures.to({"effect": "read"}),
		[{"op": "add", "path": "/context/arguments", "value": {"path": "deploy/x"}}],
	)
	count(protected_paths.deny) == 0 with input as read with data.protected as listed
}

test_without_a_list_nothing_is_changed[note] if {
	some note, data_protected in {"none": {}, "no list": {"paths": "all"}}
	given := adding([])
	fixtures.ids(protected_paths.deny) == {"protected-path"} with input as given
		with data.protected as data_protected
}

test_an_unknown_effect_is_a_change if {
	given := json.patch(
		adding(["deploy/values.yaml"]),
		[{"op": "remove", "path": "/resource/manifest/effect"}],
	)
	fixtures.ids(protected_paths.deny) == {"protected-path"} with input as given
		with data.protected as listed
}
