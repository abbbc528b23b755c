"""The gateway on Kubernetes: a manifest for the KubeRay operator, and what it has Serve import."""
