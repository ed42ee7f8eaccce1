# What holds of every manifest the chart renders. Input: the list of them. Each denial is a line.
package detent.manifests

ours := {65532, 65533}

pods[where] := document.spec.template.spec if {
	some document in input
	document.spec.template.spec
	where := concat("/", [document.kind, document.metadata.name])
}

containers[where] := container if {
	some pod, spec in pods
	some list in ["initContainers", "containers"]
	some container in object.get(spec, list, [])
	where := concat("/", [pod, container.name])
}

is_egress(container) if container.name == "egress"

# Pods

deny contains sprintf("%s: %s has to be false", [pod, field]) if {
	some pod, spec in pods
	some field in ["automountServiceAccountToken", "enableServiceLinks"]
	object.get(spec, field, true) != false
}

deny contains sprintf("%s: shares %s", [pod, field]) if {
	some pod, spec in pods
	some field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
	object.get(spec, field, false) != false
}

deny contains sprintf("%s: no seccomp profile", [pod]) if {
	some pod, spec in pods
	object.get(spec, ["securityContext", "seccompProfile", "type"], "") != "RuntimeDefault"
}

deny contains sprintf("%s: volume %s is of the node", [pod, volume.name]) if {
	some pod, spec in pods
	some volume in spec.volumes
	volume.hostPath
}

deny contains sprintf("%s: Secret %s is not 0440", [pod, volume.name]) if {
	some pod, spec in pods
	some volume in spec.volumes
	some kind in ["secret", "projected"]
	volume[kind]
	object.get(volume[kind], "defaultMode", 420) != 288
}

# Containers

deny contains sprintf("%s: image without digest", [where]) if {
	some where, container in containers
	not regex.match(`^[^@\s]+@sha256:[0-9a-f]{64}$`, container.image)
}

deny contains sprintf("%s: %s has to be %v", [where, field, value]) if {
	some where, container in containers
	some field, value in {
		"allowPrivilegeEscalation": false,
		"privileged": false,
		"readOnlyRootFilesystem": true,
	}
	object.get(container, ["securityContext", field], null) != value
}

deny contains sprintf("%s: keeps capabilities", [where]) if {
	some where, container in containers
	object.get(container, ["securityContext", "capabilities", "drop"], []) != ["ALL"]
}

deny contains sprintf("%s: adds capabilities", [where]) if {
	some where, container in containers
	added := {one | some one in object.get(container, ["securityContext", "capabilities", "add"], [])}
	count(added - {one | is_egress(container); one := "NET_ADMIN"}) > 0
}

deny contains sprintf("%s: runs as root", [where]) if {
	some where, container in containers
	not is_egress(container)
	object.get(container, ["securityContext", "runAsUser"], 0) < 1
}

deny contains sprintf("%s: no bounds", [where]) if {
	some where, container in containers
	container.name != "agent"
	not container.resources.limits.memory
}

deny contains sprintf("%s: %s is written out", [where, variable.name]) if {
	some where, container in containers
	some variable in object.get(container, "env", [])
	regex.match(`(?i)(token|secret|password|key|store)`, variable.name)
	object.get(variable, "value", "") != ""
}

# The agent beside its sidecar

deny contains sprintf("%s: has a uid of Detent", [where]) if {
	some where, container in containers
	container.name == "agent"
	container.securityContext.runAsUser in ours
}

deny contains sprintf("%s: mounts %s of Detent", [pod, mount.name]) if {
	some pod, spec in pods
	some agent in spec.containers
	agent.name == "agent"
	some mount in object.get(agent, "volumeMounts", [])
	some other in object.get(spec, "initContainers", [])
	mount.name in {theirs.name | some theirs in object.get(other, "volumeMounts", [])}
}

deny contains sprintf("%s: something runs before the egress rule", [pod]) if {
	some pod, spec in pods
	some agent in spec.containers
	agent.name == "agent"
	object.get(spec, ["initContainers", 0, "name"], "") != "egress"
}

# Everything else

deny contains sprintf("ConfigMap/%s: holds a secret", [document.metadata.name]) if {
	some document in input
	document.kind == "ConfigMap"
	some text in document.data
	regex.match(`dt[ao]_[A-Za-z0-9_-]{43}|PRIVATE KEY|://[^/\s:@]+:[^/\s:@]+@`, text)
}

deny contains sprintf("Service/%s: reachable from outside", [document.metadata.name]) if {
	some document in input
	document.kind == "Service"
	object.get(document.spec, "type", "ClusterIP") != "ClusterIP"
}

deny contains sprintf("%s: no NetworkPolicy binds it both ways", [where]) if {
	some document in input
	document.kind == "Deployment"
	where := concat("/", [document.kind, document.metadata.name])
	labels := document.spec.template.metadata.labels
	not is_bound(labels)
}

is_bound(labels) if {
	some policy in input
	policy.kind == "NetworkPolicy"
	{kind | some kind in policy.spec.policyTypes} == {"Ingress", "Egress"}
	every key, value in policy.spec.podSelector.matchLabels {
		labels[key] == value
	}
}
