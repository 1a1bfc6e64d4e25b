{{/* What the pods of both Deployments have in common. */}}

{{/* Labels and annotations of the pods. Nothing that changes with the chart alone: a new chart with the same image restarts nothing. */}}
{{- define "greenroom.pod.metadata" -}}
{{- $root := index . 0 -}}
{{- $component := index . 2 -}}
labels:
  {{- include "greenroom.selector" . | nindent 2 }}
  {{- /* The nodes' NetworkPolicy lets pods with this label, in this namespace, reach their admin ports. */}}
  app.kubernetes.io/part-of: greenroom
  {{- with $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) $component.podAnnotations $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "greenroom.pod.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "greenroom.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "greenroom.pod.scheduling" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.priorityClassName -}}
priorityClassName: {{ . }}
{{ end -}}
{{- with $root.Values.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with $root.Values.tolerations -}}
tolerations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with $root.Values.affinity -}}
affinity:
  {{- toYaml . | nindent 2 }}
{{ end -}}
topologySpreadConstraints:
{{- range $root.Values.topologySpreadConstraints | default (include "greenroom.spread" $root | fromYamlArray) }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "greenroom.selector" $ | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "greenroom.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
{{- end -}}

{{- define "greenroom.container.image" -}}
image: {{ include "greenroom.image" . }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* Environment that both programs take. */}}
{{- define "greenroom.container.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 2 -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: GREENROOM_WATCH_NAMESPACES
  value: {{ include "greenroom.watchNamespaces" $root | quote }}
- name: GREENROOM_LOG
  value: {{ $root.Values.logLevel | quote }}
- name: GREENROOM_LOG_FORMAT
  value: {{ $root.Values.logFormat | quote }}
{{- with $root.Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with $component.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Both serve their health on the port http. Liveness is slow to judge: it also restarts what has stopped to see changes. */}}
{{- define "greenroom.container.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}
