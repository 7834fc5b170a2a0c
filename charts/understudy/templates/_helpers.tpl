{{- /* Labels of everything that the chart installs. */ -}}
{{- define "understudy.labels" -}}
app.kubernetes.io/part-of: understudy
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What selects the manager's pods. */ -}}
{{- define "understudy.managerLabels" -}}
app.kubernetes.io/name: understudy
app.kubernetes.io/component: manager
{{- end -}}

{{- /* The operator's image. */ -}}
{{- define "understudy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
