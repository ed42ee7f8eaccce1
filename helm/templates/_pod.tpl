{{/* What the pods of both modes share. */}}

{{- define "detent.podSpec" -}}
automountServiceAccountToken: false
serviceAccountName: {{ include "detent.name" . }}
# A Service called `detent` would put DETENT_* variables into the environment, which are settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "detent.confined" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
{{- end }}

{{- define "detent.container" -}}
image: {{ include "detent.image" .Values.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  - --config
  - /etc/detent/detent.yaml
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.attach.url }}
  - --attach
  - {{ .Values.sidecar.attach.url | quote }}
{{- end }}
{{- if gt (int .Values.gateway.workers) 1 }}
  - --workers
  - {{ .Values.gateway.workers | quote }}
{{- end }}
env:
  - name: POD_IP
    valueFrom: {fieldRef: {fieldPath: status.podIP}}
  - name: DETENT_LISTEN__HOSTS
    value: {{ include "detent.hosts" . | quote }}
ports:
{{- if eq .Values.mode "gateway" }}
  - {name: agents, containerPort: 8787}
  - {name: operators, containerPort: 8788}
{{- if .Values.attach.enabled }}
  - {name: attach, containerPort: 8789}
{{- end }}
{{- end }}
  - {name: health, containerPort: 8790}
startupProbe: # nothing listens before policy and ledger are there
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 3
lifecycle:
  preStop: {sleep: {seconds: 5}} # until Services have forgotten the pod
securityContext:
  {{- include "detent.confined" . | nindent 2 }}
  runAsUser: 65532
  runAsGroup: 65532
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: settings, mountPath: /etc/detent, readOnly: true}
  - {name: ledger, mountPath: /var/lib/detent}
  - {name: tmp, mountPath: /tmp}
{{- if .Values.policy.volume }}
  - {name: policies, mountPath: {{ .Values.policy.path }}, readOnly: true}
{{- end }}
{{- if eq .Values.policy.engine "remote" }}
  - {name: opa-token, mountPath: /run/detent/opa, readOnly: true}
{{- end }}
{{- if include "detent.pulls" . }}
{{- with include "detent.bundleMounts" . | trim }}
{{ . | indent 2 }}
{{- end }}
{{- end }}
{{- if and (eq .Values.mode "gateway") .Values.tls.existingSecret }}
  - {name: tls, mountPath: /run/detent/tls, readOnly: true}
{{- end }}
{{- with include "detent.databaseMounts" . | trim }}
{{ . | indent 2 }}
{{- end }}
{{- if .Values.callTokens.issuer }}
  - {name: keys, mountPath: /run/detent/keys, readOnly: true}
{{- end }}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.attach.url }}
  - {name: attach, mountPath: /run/detent/attach, readOnly: true}
{{- if .Values.sidecar.attach.caSecret }}
  - {name: attach-ca, mountPath: /run/detent/attach-ca, readOnly: true}
{{- end }}
{{- end }}
{{- range .Values.secrets }}
  - {name: secret-{{ . }}, mountPath: /secrets/{{ . }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "detent.databaseMounts" -}}
{{- if .Values.store.passwordSecret }}
- {name: database, mountPath: /run/detent/database, readOnly: true}
{{- end }}
{{- if .Values.store.caSecret }}
- {name: database-ca, mountPath: /run/detent/database-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "detent.databaseVolumes" -}}
{{- if .Values.store.passwordSecret }}
- name: database
  secret: {secretName: {{ .Values.store.passwordSecret }}, defaultMode: 0440, items: [{key: password, path: password}]}
{{- end }}
{{- if .Values.store.caSecret }}
- name: database-ca
  secret: {secretName: {{ .Values.store.caSecret }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{/* 0440 with fsGroup: root's files, readable by the containers of this pod that mount them. */}}
{{- define "detent.volumes" -}}
- name: settings
  configMap: {name: {{ include "detent.name" . }}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if .Values.policy.volume }}
- name: policies
  {{- toYaml .Values.policy.volume | nindent 2 }}
{{- end }}
{{- if eq .Values.policy.engine "remote" }}
- name: opa-token
  secret: {secretName: {{ .Values.policy.opaSecret | default (printf "%s-opa" (include "detent.name" .)) }}, defaultMode: 0440, items: [{key: token, path: token}]}
{{- end }}
{{- with include "detent.bundleVolumes" . | trim }}
{{ . }}
{{- end }}
{{- if and (eq .Values.mode "gateway") .Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- with include "detent.databaseVolumes" . | trim }}
{{ . }}
{{- end }}
{{- if .Values.callTokens.issuer }}
- name: keys
  secret: {secretName: {{ .Values.callTokens.keysSecret | default (printf "%s-keys" (include "detent.name" .)) }}, defaultMode: 0440}
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "detent.podSecurity" -}}
runAsNonRoot: true
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # else each start would open the ledger's files to the group
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A pod is replaced when its settings change. */}}
{{- define "detent.annotations" -}}
checksum/settings: {{ printf "%s%s" (include "detent.settings" .) .Values.policy.bundle.publicKey | sha256sum }}
{{- end }}
