#!/usr/bin/env bash
# review.sh BASE: which calls are decided otherwise than by the checkout BASE, and is it too many?
# Writes build/review.md. Exit code 1 over the budget of BASE.
set -euo pipefail
base=${1:?a checkout of the base branch} out=${BUILD:-build} here=$(dirname "$0")
corpora=(--corpus suites ${BOUNDARIES+--corpus boundaries})

most() { # most NAME: a number of the base's budget; without one nothing may change
  local number
  number=$(sed -n "s/^$1=\([0-9]\{1,6\}\)$/\1/p" "$base/budget.env" 2> /dev/null) || true
  echo "${number:-0}"
}

"$here/assemble.sh" "$base" "$out/base"
"$here/assemble.sh" . "$out/head"
status=0
echo "== recorded calls"
detent policy replay log --baseline "$out/base" --candidate "$out/head" \
  --max-flips "$(most MAX_FLIPS)" --max-permissions "$(most MAX_PERMISSIONS)" \
  --markdown "$out/replay.md" || status=$?
echo "== ${corpora[*]}"
detent policy diff "$out/base" "$out/head" "${corpora[@]}" \
  --max-flips "$(most MAX_FLIPS)" --max-permissions "$(most MAX_BOUNDARY_PERMISSIONS)" \
  --markdown "$out/diff.md" || status=$?
{
  printf '## Calls that were recorded\n\n'
  cat "$out/replay.md"
  printf '\n## %s\n\n' "${corpora[*]}"
  cat "$out/diff.md"
} > "$out/review.md"
exit "$status"
