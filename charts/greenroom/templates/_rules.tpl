{{/* What operator and placement API may do in the namespaces that they look at. There is no `*`, and nobody lists Secrets. */}}

{{- define "greenroom.operator.rules" -}}
# What the users declare.
- apiGroups: [greenroom.dev]
  resources: [actorclusters]
  verbs: [list, watch]
# What it says about it.
- apiGroups: [greenroom.dev]
  resources: [actorclusters/status]
  verbs: [patch]
# The pages of the shard map: the operator creates them empty and looks which exist. It changes none, but gives `get`,
# `update` and `watch` on a cluster's own pages to its nodes, and nobody can give what he does not have.
- apiGroups: [greenroom.dev]
  resources: [shardmaps]
  verbs: [get, list, watch, create, update]
# How the nodes are, and the restart of one; `get`, `list` and `watch` are also given to the nodes.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# What a cluster consists of, by server-side apply. What a changed cluster no longer needs is deleted; the rest goes
# with the cluster, by its owner references.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, watch, create, patch, delete]
# The certificates of nodes and of those who administer a cluster, one by one by their names. Their namespaces and names
# are not known beforehand, so the rule cannot name them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
# What happened, for `kubectl describe`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "greenroom.placementApi.rules" -}}
# Which nodes there are.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end -}}
