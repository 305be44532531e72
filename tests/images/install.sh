#!/usr/bin/env bash
# What tests/images needs to build and run images without Docker: 71 MB, six seconds. Root on Debian 12.
set -euo pipefail
if command -v buildah runc mmdebstrap >/dev/null; then exit 0; fi
export DEBIAN_FRONTEND=noninteractive
# The index may already be there and the network may not; only an installation that then fails is an error.
apt-get update -qq || echo "apt-get update failed, trying with the index at hand" >&2
apt-get install -y -qq --no-install-recommends buildah runc mmdebstrap >/dev/null
