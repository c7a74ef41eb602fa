#!/usr/bin/env bash
# govulncheck, blocking where its data can be reached.
set -uo pipefail
cd "$(dirname "$0")/.."
if ! out=$(go run "$1" ./... 2>&1); then
  if ! grep -q 'Vulnerability #' <<<"$out" && grep -qE 'vuln\.go\.dev.*(no such host|connection refused|i/o timeout|Forbidden|Not Found|unexpected|dial|proxyconnect)|(no such host|dial tcp|proxyconnect)' <<<"$out"; then
    echo "govulncheck: its data cannot be reached from here; NOT CHECKED"
    exit 0
  fi
  echo "$out"
  exit 1
fi
echo "$out"
