# Files that hold secrets, and files that run by themselves. The manifest's `guards.filesystem`
# says which arguments are paths; where they may lead is what its constraints are about.
package detent.rules.filesystem

import data.detent.lib.arguments
import data.detent.lib.names
import data.detent.lib.reasons
import future.keywords.not

guard := input.resource.manifest.guards.filesystem

deny contains reasons.about("file-sensitive", name) if {
	some name in guard.paths
	some item in arguments.values(name)
	not names.spares(arguments.text(item), data.filesystem.sensitive)
}

deny contains reasons.about("file-runs-by-itself", name) if {
	not input.resource.manifest.effect == "read"
	some name in guard.paths
	some item in arguments.values(name)
	not names.spares(arguments.text(item), data.filesystem.self_running)
}
