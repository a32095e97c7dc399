{{/* Name of the chart. */}}
{{- define "smtp-relay-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of objects: the release's, with the chart's unless it is part of it. Suffixes need 11 characters. */}}
{{- define "smtp-relay-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "smtp-relay-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "smtp-relay-operator.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of objects outside namespaces: two releases in two namespaces must not share them. */}}
{{- define "smtp-relay-operator.clusterName" -}}
{{- $fullname := include "smtp-relay-operator.fullname" . }}
{{- if eq $fullname .Release.Namespace }}{{ $fullname }}{{ else }}{{ printf "%s-%s" .Release.Namespace $fullname }}{{ end }}
{{- end }}

{{- define "smtp-relay-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "smtp-relay-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "smtp-relay-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "smtp-relay-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: smtp-relay-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "smtp-relay-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "smtp-relay-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "smtp-relay-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "smtp-relay-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "smtp-relay-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/*
What the operator may do where relays live. It reads through lists and watches, writes by server-side apply
(patch, and create for what is not there yet), and deletes nothing but a Secret of its own that is outdated.
*/}}
{{- define "smtp-relay-operator.rules" -}}
- apiGroups: [smtprelay.dev]
  resources: [smtprelays, sendingdomains, ippools]
  verbs: [list, watch]
- apiGroups: [smtprelay.dev]
  resources: [smtprelays/status, sendingdomains/status, ippools/status]
  verbs: [patch]
# Children name their owner with blockOwnerDeletion, which some clusters (OpenShift) allow only with this.
- apiGroups: [smtprelay.dev]
  resources: [smtprelays/finalizers, sendingdomains/finalizers]
  verbs: [update]
# Certificates and passwords that specs name, and the Secrets made for relays. `get`: never overwrite a key
# that the cache has not seen yet.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch]
# Events are applied, and never read again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Restricted pod security, for every pod of the chart. The user is the image's own. */}}
{{- define "smtp-relay-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "smtp-relay-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "smtp-relay-operator.monitoringLabels" -}}
{{ include "smtp-relay-operator.labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
