{{/*
Names are the same in every release. In a namespace there can be one operator only, as all replicas there share one
Lease; of two releases that would carry out the same ChatClusters, Helm refuses the second, for its ClusterRole is
the first one's.
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
