# Reasons by id, with the sentence people and agents read (`data.reasons`).
package detent.lib.reasons

of(id) := {"id": id, "message": sentence(id)}

# The name of an argument stands in the reviewed manifest; its value never stands in a message.
about(id, argument) := {
	"id": id,
	"message": sprintf("%v Argument: %v.", [sentence(id), argument]),
}

# An id without a sentence still refuses: a missing text must not disarm a rule.
default sentence(_) := "No sentence is written for this reason."

sentence(id) := data.reasons[id]
