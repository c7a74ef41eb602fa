#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time: fuzz.sh 5s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?usage: fuzz.sh DURATION}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Before Go 1.27 the fuzzer may report its own -fuzztime as a failure
# (golang/go#75804): nothing else is said, and no input is written. That run,
# and only that, is made again, three times at most.
fuzz() {
  local try
  for try in 1 2 3; do
    if go test -run='^$' -fuzz="^$2\$" -fuzztime="$time" "$1" 2>&1 | tee "$log"; then return 0; fi
    if [ "$(grep -v -e '^fuzz: elapsed: ' -e '^FAIL' -e '^exit status 1$' "$log" | sed 's/([0-9.]*s)/(time)/')" != "--- FAIL: $2 (time)
    context deadline exceeded" ]; then return 1; fi
    echo "fuzz $1 $2: the fuzzer ran into its own deadline (golang/go#75804), try $try of 3"
  done
  return 1
}

n=0
while IFS=: read -r file target; do
  pkg=./$(dirname "$file")
  echo "fuzz $pkg $target ($time)"
  fuzz "$pkg" "$target" || exit 1
  n=$((n + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | grep -v -e '^bench/' -e '^interop/' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
[ "$n" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$n fuzz targets passed"
