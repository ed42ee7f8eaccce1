# Once a session has seen untrusted content, data leaves only to registered destinations.
package detent.rules.information_flow

import data.detent.lib.hosts
import data.detent.lib.reasons
import future.keywords.not

deny contains reasons.of("untrusted-to-unregistered-destination") if {
	not is_clean
	is_sink
	not is_registered
}

# Labels that are missing prove nothing.
is_clean if {
	is_array(input.context.session.labels)
	not "untrusted_content" in input.context.session.labels
}

# Whatever changes something is a sink, and so is a read that sends an argument out.
is_sink if not input.resource.manifest.effect == "read"

is_sink if input.resource.manifest.sinks != []

is_sink if chosen_by != []

# No argument chooses the destination: the tool itself is one, and has to be registered.
is_registered if {
	chosen_by == []
	input.resource.id in data.destinations.tools
}

is_registered if {
	count(chosen_by) > 0
	every argument in chosen_by {
		is_registered_value(argument, input.context.arguments[argument])
	}
}

default chosen_by := []

chosen_by := input.resource.manifest.destinations

is_registered_value(argument, value) if {
	is_array(value)
	value != []
	every item in value {
		is_registered_text(argument, item)
	}
}

is_registered_value(argument, value) if is_registered_text(argument, value)

is_registered_text(argument, text) if {
	text in data.destinations.values[input.resource.id][argument]
}

is_registered_text(_, text) if {
	hosts.listed(hosts.agreed(text, input.context.urls), data.destinations.hosts)
}

is_registered_text(_, text) if text in data.destinations.emails
