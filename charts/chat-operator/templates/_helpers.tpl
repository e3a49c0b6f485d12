{{/*
Names are the same in every release. A namespace can hold one operator only, because all replicas in it share one
Lease. Helm rejects a second release that would manage the same ChatClusters, because its ClusterRole belongs to the
first one.
*/}}
{{- define "chat-operator.scope" -}}
{{- with .Values.watchNamespace }}:{{ . }}{{ end }}
{{- end }}

{{- define "chat-operator.labels" -}}
app.kubernetes.io/name: chat-operator
{{ include "chat-operator.helmLabels" . }}
{{- end }}

{{- define "chat-operator.helmLabels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "chat-operator.selector" -}}
app.kubernetes.io/name: chat-operator
app.kubernetes.io/component: operator
{{- end }}

{{- define "chat-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}
