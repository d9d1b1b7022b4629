{{/* The name of everything that the release has once; the release's own name where that says it already. */}}
{{- define "rolebridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What distinguishes the operator's Pod. Immutable in a Deployment: never add to it. */}}
{{- define "rolebridge.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rolebridge.labels" -}}
{{ include "rolebridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "rolebridge.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "rolebridge.fullname" .) -}}
{{- end -}}

{{/* A digest, where there is one, is what is pulled. */}}
{{- define "rolebridge.image" -}}
{{- $repository := required "image.repository is required: build the image with `make image` and push it to a registry of yours" .Values.image.repository -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- printf "%s:%s" $repository $tag -}}{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}
