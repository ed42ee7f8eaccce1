{{/* Not empty: Detent itself takes signed bundles. */}}
{{- define "detent.pulls" -}}
{{- if and (eq .Values.policy.engine "managed") .Values.policy.bundle.url }}yes{{ end -}}
{{- end }}

{{/* What the chart sets in detent.yaml; nothing in settings can change it. */}}
{{- define "detent.ownSettings" -}}
{{- if eq .Values.store.kind "sqlite" }}
store: sqlite:////var/lib/detent/detent.db
{{- else }}
store: {{ .Values.store.url | quote }}
{{- if .Values.store.passwordSecret }}
store_password: {file: /run/detent/database/password}
{{- end }}
{{- end }}
kill: {halt_file: /var/lib/detent/detent.halt}
drain: {{ .Values.drainSeconds }}s
listen:
{{- if eq .Values.mode "gateway" }}
  agents: 0.0.0.0:8787
  operators: 0.0.0.0:8788
{{- if .Values.tls.existingSecret }}
  tls_cert: /run/detent/tls/tls.crt
  tls_key: /run/detent/tls/tls.key
{{- else }}
  tls_terminated: true
{{- end }}
{{- if .Values.attach.enabled }}
  attach: 0.0.0.0:8789
{{- end }}
{{- else }}
  agents: 127.0.0.1:8787
  operators: 127.0.0.1:8788
{{- end }}
  health: 0.0.0.0:8790
policy:
{{- if include "detent.pulls" . }}
{{- $bundle := .Values.policy.bundle }}
  bundle: {{ printf "%s/%s" (trimSuffix "/" $bundle.url) (trimPrefix "/" $bundle.resource) | quote }}
  verify: {keyid: {{ $bundle.keyid | quote }}, key: /etc/detent/bundle.pem}
  pull:
    every: {{ $bundle.every }}
{{- if $bundle.tokenSecret }}
    token: {file: /run/bundle/token}
{{- end }}
{{- if $bundle.caSecret }}
    ca_file: /run/bundle-ca/ca.crt
{{- end }}
  state: /var/lib/detent/policies
{{- else }}
  bundle: {{ .Values.policy.path }}
{{- end }}
  engine: {{ .Values.policy.engine }}
{{- if eq .Values.policy.engine "remote" }}
  remote: {url: "http://127.0.0.1:8181", token: {file: /run/detent/opa/token}}
{{- end }}
{{- if .Values.callTokens.issuer }}
credentials:
  jwt: {jwt: {issuer: {{ .Values.callTokens.issuer | quote }}, keys: /run/detent/keys}}
{{- end }}
{{- if and (eq .Values.mode "gateway") .Values.attach.enabled .Values.attach.issuers }}
attach:
  issuers: {{- toYaml .Values.attach.issuers | nindent 4 }}
{{- end }}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.attach.url }}
attach:
  token: {file: /run/detent/attach/token}
{{- if .Values.sidecar.attach.caSecret }}
  ca_file: /run/detent/attach-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "detent.settings" -}}
{{- $all := mergeOverwrite (deepCopy .Values.settings) (include "detent.ownSettings" . | fromYaml) -}}
{{- $identity := get $all "identity" | default dict -}}
{{- $agents := get $identity "agents" | default list -}}
{{- range .Values.generate.agents -}}
{{- $hash := include "detent.token" (dict "root" $ "kind" "agent" "name" .name) | sha256sum -}}
{{- $agents = append $agents (merge (dict "token_sha256" $hash) .) -}}
{{- end -}}
{{- $operators := get $identity "operators" | default list -}}
{{- range .Values.generate.operators -}}
{{- $hash := include "detent.token" (dict "root" $ "kind" "operator" "name" .name) | sha256sum -}}
{{- $operators = append $operators (merge (dict "token_sha256" $hash) .) -}}
{{- end -}}
{{- if include "detent.scrapes" . -}}
{{- $hash := include "detent.token" (dict "root" . "kind" "operator" "name" "metrics") | sha256sum -}}
{{- $operators = append $operators (dict "name" "metrics" "roles" (list "view") "tenants" (list "*") "token_sha256" $hash) -}}
{{- end -}}
{{- $_ := set $identity "agents" $agents -}}
{{- $_ := set $identity "operators" $operators -}}
{{- $_ := set $all "identity" $identity -}}
{{- toYaml $all -}}
{{- end }}
