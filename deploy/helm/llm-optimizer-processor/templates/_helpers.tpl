{{- define "processor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The chart's name where the release has it too; room is left for -headless and -dashboards. */ -}}
{{- define "processor.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "processor.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "processor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "processor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "processor.labels" -}}
{{ include "processor.selectorLabels" . }}
app.kubernetes.io/component: stream-processor
app.kubernetes.io/part-of: llm-optimizer
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "processor.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* What no schema can say. */ -}}
{{- define "processor.check" -}}
{{- if and (gt (int .Values.replicas) 1) (ne (.Values.config.exchange | default "local") "kafka") -}}
{{- fail "replicas: more than one needs config.exchange: kafka; with `local` the events of a key meet inside one process" -}}
{{- end -}}
{{- $drain := .Values.config.shutdown_timeout_secs | default 15 | float64 -}}
{{- if lt (float64 .Values.terminationGracePeriodSeconds) (addf $drain 10) -}}
{{- fail (printf "terminationGracePeriodSeconds: %v is less than config.shutdown_timeout_secs (%v) and ten more" .Values.terminationGracePeriodSeconds $drain) -}}
{{- end -}}
{{- if gt (index .Values.networkPolicy.kafkaPorts 0 | int) (index .Values.networkPolicy.kafkaPorts 1 | int) -}}
{{- fail "networkPolicy.kafkaPorts: the first port is above the last" -}}
{{- end -}}
{{- end -}}
