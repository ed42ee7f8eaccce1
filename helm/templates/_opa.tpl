{{/* OPA as a container of its own: asked on loopback by whoever has its token, for decisions only. */}}
{{- define "detent.opaContainer" -}}
name: opa
image: {{ include "detent.image" .Values.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [opa]
args:
  - run
  - --server
  - --addr=127.0.0.1:8181
  - --diagnostic-addr=0.0.0.0:8282
  - --authentication=token
  - --authorization=basic
  - --config-file=/etc/opa/opa.yaml
  - --optimize-store-for-read-speed
  - --skip-version-check
  - --log-level=error
  - /etc/opa/authz.rego
  - /etc/opa/probes.rego
  - /run/opa/authz.json
ports:
  - {name: opa-health, containerPort: 8282}
startupProbe:
  httpGet: {path: "/health?bundles=true", port: opa-health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health, port: opa-health}
  failureThreshold: 6
securityContext:
  {{- include "detent.confined" . | nindent 2 }}
  runAsUser: 65533
  runAsGroup: 65533
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: opa, mountPath: /etc/opa, readOnly: true}
  - {name: opa-authz, mountPath: /run/opa, readOnly: true}
{{- with include "detent.bundleMounts" . | trim }}
{{ . | indent 2 }}
{{- end }}
{{- end }}

{{- define "detent.opaVolumes" -}}
- name: opa
  configMap: {name: {{ include "detent.name" . }}-opa}
- name: opa-authz
  secret: {secretName: {{ .Values.policy.opaSecret | default (printf "%s-opa" (include "detent.name" .)) }}, defaultMode: 0440, items: [{key: authz.json, path: authz.json}]}
{{- end }}

{{- define "detent.opaConfig" -}}
services:
  bundles:
    url: {{ .Values.policy.bundle.url | quote }}
{{- if .Values.policy.bundle.tokenSecret }}
    credentials: {bearer: {token_path: /run/bundle/token}}
{{- end }}
{{- if .Values.policy.bundle.caSecret }}
    tls: {ca_cert: /run/bundle-ca/ca.crt, system_ca_required: true}
{{- end }}
bundles:
  detent:
    service: bundles
    resource: {{ .Values.policy.bundle.resource | quote }}
    polling: {min_delay_seconds: 10, max_delay_seconds: 30}
    signing: {keyid: {{ .Values.policy.bundle.keyid | quote }}}
keys:
  {{ .Values.policy.bundle.keyid | quote }}:
    algorithm: {{ .Values.policy.bundle.algorithm }}
    key: {{ .Values.policy.bundle.publicKey | quote }}
{{- end }}

{{/* For whoever pulls bundles: OPA or Detent. */}}
{{- define "detent.bundleMounts" -}}
{{- if .Values.policy.bundle.tokenSecret }}
- {name: bundle-token, mountPath: /run/bundle, readOnly: true}
{{- end }}
{{- if .Values.policy.bundle.caSecret }}
- {name: bundle-ca, mountPath: /run/bundle-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "detent.bundleVolumes" -}}
{{- if .Values.policy.bundle.tokenSecret }}
- name: bundle-token
  secret: {secretName: {{ .Values.policy.bundle.tokenSecret }}, defaultMode: 0440, items: [{key: token, path: token}]}
{{- end }}
{{- if .Values.policy.bundle.caSecret }}
- name: bundle-ca
  secret: {secretName: {{ .Values.policy.bundle.caSecret }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}
