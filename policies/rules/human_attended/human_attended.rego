# Who may be asked by the agent's own program instead of an operator, when a call is held.
package detent.rules.human_attended

# The modes in which Claude Code puts the question to a person, and nothing answers for one.
asking_modes := {"acceptEdits", "default", "plan"}

obligations contains {"type": "human_attended"} if {
	some role in input.subject.roles
	role in data.attended.roles
	input.resource.server in data.attended.clients
	input.resource.manifest.hooks == true

	# lint: missing-argument: this obligation loosens, so that without a mode nobody is asked
	input.context.meta.permission_mode in asking_modes
}
