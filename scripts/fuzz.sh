#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time: fuzz.sh 5s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?usage: fuzz.sh DURATION}
n=0
while IFS=: read -r file target; do
  pkg=./$(dirname "$file")
  echo "fuzz $pkg $target ($time)"
  go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "$pkg"
  n=$((n + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | grep -v -e '^bench/' -e '^interop/' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
[ "$n" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$n fuzz targets passed"
