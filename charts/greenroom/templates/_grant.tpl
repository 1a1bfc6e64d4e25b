{{/*
Grants rules to an account: cluster-wide, or in each of the watched namespaces.
Arguments: root, component, name, account, rules.
*/}}
{{- define "greenroom.grant" -}}
{{- $root := index . 0 -}}
{{- $name := index . 2 -}}
{{- $account := index . 3 -}}
{{- $rules := index . 4 -}}
{{- $namespaces := $root.Values.watchNamespaces -}}
{{- range $namespace := $namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne $namespace "") }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "greenroom.metadata" (list $root (index $ 1)) | nindent 2 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne $namespace "") }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "greenroom.metadata" (list $root (index $ 1)) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne $namespace "") }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $account }}
    namespace: {{ include "greenroom.namespace" $root }}
{{- end }}
{{- end -}}
