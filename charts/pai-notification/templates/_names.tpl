{{- define "pai-notification.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pai-notification.serviceAccount" -}}
{{ .Values.serviceAccount.name | default "pai-notification" }}
{{- end }}

{{- define "pai-notification.busUrl" -}}
{{- if .Values.operator.busPublicUrl }}{{ .Values.operator.busPublicUrl }}{{ else }}{{ ternary "https" "http" (ne .Values.operator.busTlsSecret "") }}://{{ include "pai-notification.name" . }}.{{ .Release.Namespace }}.svc:8080{{ end }}
{{- end }}

{{- define "pai-notification.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pai-notification.labels" -}}
{{ include "pai-notification.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
