{{/* What things are called. The arguments of a template are the root, and a list of root and component if it needs one. */}}

{{/* Names below get at most 21 characters more, and fit a DNS label. */}}
{{- define "greenroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "greenroom.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "greenroom.operator" -}}
{{- include "greenroom.fullname" . }}-operator
{{- end -}}

{{- define "greenroom.placementApi" -}}
{{- include "greenroom.fullname" . }}-placement-api
{{- end -}}

{{- define "greenroom.operator.account" -}}
{{- $account := .Values.serviceAccount -}}
{{- $account.name | default (ternary (include "greenroom.operator" .) "default" $account.create) -}}
{{- end -}}

{{- define "greenroom.placementApi.account" -}}
{{- $account := .Values.placementApi.serviceAccount -}}
{{- $account.name | default (ternary (include "greenroom.placementApi" .) "default" $account.create) -}}
{{- end -}}

{{/* Secrets that operator and placement API make and rotate by themselves. */}}
{{- define "greenroom.secret.ca" -}}
{{- include "greenroom.fullname" . }}-ca
{{- end -}}

{{- define "greenroom.secret.client" -}}
{{- include "greenroom.fullname" . }}-placement-api-client
{{- end -}}

{{- define "greenroom.secret.server" -}}
{{- include "greenroom.fullname" . }}-placement-api-tls
{{- end -}}

{{/* The digest is what counts; the tag beside it is for people. */}}
{{- define "greenroom.image" -}}
{{- $image := .Values.image -}}
{{- $name := list $image.registry $image.repository | compact | join "/" -}}
{{- $name }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* A selector can never change: it has no version in it, and none of the user's labels. */}}
{{- define "greenroom.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: greenroom
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "greenroom.labels" -}}
{{- $root := index . 0 -}}
{{ include "greenroom.selector" . }}
app.kubernetes.io/part-of: greenroom
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object but for its name and namespace. */}}
{{- define "greenroom.metadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "greenroom.labels" . | nindent 2 }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The namespaces that hold clusters as far as this release is concerned, as the programs take them. */}}
{{- define "greenroom.watchNamespaces" -}}
{{- join "," .Values.watchNamespaces -}}
{{- end -}}
