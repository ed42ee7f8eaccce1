{{/*
Secrets the chart makes. Each is made once in a render and kept by upgrades: what the cluster has
already wins. `helm template` sees no cluster, so whoever renders that way has to bring the Secrets.
*/}}

{{/* dict "root" $ "secret" name "key" key "make" token|key "prefix" … → the value */}}
{{- define "detent.kept" -}}
{{- $memo := get .root.Values "made" | default dict -}}
{{- $at := printf "%s/%s" .secret .key -}}
{{- if not (hasKey $memo $at) -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret | default dict -}}
{{- $value := dig "data" .key "" $there | b64dec -}}
{{- if not $value -}}
{{- $value = eq .make "key" | ternary (genPrivateKey "ecdsa") (printf "%s%s" .prefix (randAlphaNum 43)) -}}
{{- end -}}
{{- $_ := set $memo $at $value -}}
{{- $_ := set .root.Values "made" $memo -}}
{{- end -}}
{{- get $memo $at -}}
{{- end }}

{{- define "detent.token" -}}
{{- $secret := printf "%s-tokens" (include "detent.name" .root) -}}
{{- $prefix := eq .kind "agent" | ternary "dta_" "dto_" -}}
{{- include "detent.kept" (dict "root" .root "secret" $secret "key" (printf "%s-%s" .kind .name) "make" "token" "prefix" $prefix) -}}
{{- end }}

{{- define "detent.opaToken" -}}
{{- $secret := printf "%s-opa" (include "detent.name" .) -}}
{{- include "detent.kept" (dict "root" . "secret" $secret "key" "token" "make" "token" "prefix" "") -}}
{{- end }}

{{- define "detent.signingKey" -}}
{{- $secret := printf "%s-keys" (include "detent.name" .) -}}
{{- include "detent.kept" (dict "root" . "secret" $secret "key" "signing.pem" "make" "key" "prefix" "") -}}
{{- end }}

{{- define "detent.scrapes" -}}
{{- if and (eq .Values.mode "gateway") .Values.metrics.serviceMonitor (not .Values.metrics.tokenSecret) -}}yes{{- end -}}
{{- end }}
