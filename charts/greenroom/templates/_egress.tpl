{{/* Where operator and placement API may connect to. The address of the API server is not known to a chart, so without it nothing is restricted. */}}

{{- define "greenroom.egress" -}}
{{- with .Values.networkPolicy.apiServerCidrs -}}
egress:
  # DNS.
  - ports:
      - port: 53
        protocol: UDP
      - port: 53
        protocol: TCP
  # The API server. Its port differs before and behind the Service `kubernetes`.
  - to:
      {{- range . }}
      - ipBlock:
          cidr: {{ . }}
      {{- end }}
  # The admin ports of the nodes of all clusters.
  - to:
      - namespaceSelector: {}
        podSelector:
          matchLabels:
            app.kubernetes.io/name: greenroom
            app.kubernetes.io/component: node
    ports:
      - port: 7402
  {{- with $.Values.networkPolicy.extraEgress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
