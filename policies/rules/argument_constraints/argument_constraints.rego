# Arguments stay inside the constraints of the manifest, or the call is refused.
package detent.rules.argument_constraints

import data.detent.lib.hosts
import data.detent.lib.paths
import data.detent.lib.reasons
import future.keywords.not

# The kinds of constraint, each with the reason it refuses for.
reason_of := {
	"cidr_in": "host-not-allowed",
	"host_in": "host-not-allowed",
	"max": "value-over-cap",
	"max_length": "value-over-cap",
	"min": "value-over-cap",
	"one_of": "value-not-in-enumeration",
	"path_within": "path-outside-workspace",
}

kinds := {"cidr_in", "host_in", "max", "max_length", "min", "one_of", "path_within"}

modifiers := {"argument", "optional", "relative_ok"}

default constraints := []

constraints := input.resource.manifest.constraints

# A constraint this rule cannot read constrains nothing, so the tool is gone until it is corrected.
deny_tool contains reasons.of("constraint-unknown") if not is_array(constraints)

deny_tool contains reasons.of("constraint-unknown") if {
	some constraint in constraints
	not is_readable(constraint)
}

deny contains reasons.about("argument-missing", constraint.argument) if {
	some constraint in constraints
	not is_given(constraint)
	not is_left_out(constraint)
}

deny contains reasons.about(id, constraint.argument) if {
	some constraint in constraints

	# lint: missing-argument: the refusal above is for what is not given
	is_given(constraint)
	some kind, bound in constraint
	id := reason_of[kind]
	not is_inside(kind, input.context.arguments[constraint.argument], bound, constraint)
}

is_readable(constraint) if {
	is_string(constraint.argument)
	keys := object.keys(constraint)
	keys & kinds != set()
	(keys - kinds) - modifiers == set()
}

is_given(constraint) if input.context.arguments[constraint.argument] != null

is_left_out(constraint) if {
	constraint.optional == true
	is_object(input.context.arguments)
}

# A list is inside when each of its items is; its own length is what `max_length` is about. An empty one
# says as little as none at all.
is_inside(kind, value, bound, constraint) if {
	is_array(value)
	kind != "max_length"
	is_said(value, constraint)
	every item in value {
		satisfies(kind, item, bound, constraint)
	}
}

is_inside(kind, value, bound, constraint) if satisfies(kind, value, bound, constraint)

is_said(value, _) if value != []

is_said(_, constraint) if is_left_out(constraint)

satisfies("path_within", value, bound, _) if {
	some named in bound
	paths.within(value, root_of(named))
}

satisfies("path_within", value, _, constraint) if {
	constraint.relative_ok == true
	paths.stays_below(value)
}

satisfies("host_in", value, bound, _) if {
	hosts.listed(hosts.agreed(value, input.context.urls), bound)
}

satisfies("cidr_in", value, bound, _) if {
	hosts.addressed(hosts.agreed(value, input.context.urls), bound)
}

satisfies("max", value, bound, _) if {
	is_number(value)
	is_number(bound)
	value <= bound
}

satisfies("min", value, bound, _) if {
	is_number(value)
	is_number(bound)
	value >= bound
}

satisfies("max_length", value, bound, _) if {
	is_array(value)
	is_number(bound)
	count(value) <= bound
}

satisfies("max_length", value, bound, _) if {
	is_string(value)
	is_number(bound)
	count(value) <= bound
}

satisfies("one_of", value, bound, _) if value in bound

# `$scratch` stands for `data.workspaces.scratch`.
root_of(named) := named if not startswith(named, "$")

root_of(named) := data.workspaces[substring(named, 1, -1)] if startswith(named, "$")
