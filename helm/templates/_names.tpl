{{- define "detent.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "detent.selector" -}}
app.kubernetes.io/name: detent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.mode }}
{{- end }}

{{- define "detent.labels" -}}
{{ include "detent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "detent.image" -}}
{{ .repository }}@{{ .digest }}
{{- end }}

{{/* The names clients may write in Host; the pod's address is for scrapes. */}}
{{- define "detent.hosts" -}}
{{- $hosts := list -}}
{{- range $service := list (include "detent.name" .) (printf "%s-operators" (include "detent.name" .)) -}}
{{- range $suffix := list "" (printf ".%s" $.Release.Namespace) (printf ".%s.svc" $.Release.Namespace) -}}
{{- $hosts = append $hosts (printf "%s%s" $service $suffix) -}}
{{- end -}}
{{- end -}}
{{- $named := dig "listen" "hosts" list .Values.settings -}}
{{- concat $named $hosts (list "$(POD_IP)" "[$(POD_IP)]") | toJson -}}
{{- end }}

{{- define "detent.operatorsPort" -}}8788{{- end }}
