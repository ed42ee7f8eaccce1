#!/usr/bin/env bash
# review.sh BASE: which calls are decided otherwise than by the checkout BASE, and is it too many?
# Writes build/review.md. Exit code 1 over the budget of BASE. The recorded calls are those of BASE too.
set -euo pipefail
base=${1:?a checkout of the base branch} here=$(dirname "$0")
out=$("$here/out.sh")
corpora=(--corpus suites ${BOUNDARIES+--corpus boundaries})

most() { # most NAME: a number of the base's budget; without one nothing may change
  local number
  number=$(sed -n "s/^$1=\([0-9]\{1,6\}\)$/\1/p" "$base/budget.env" 2> /dev/null) || true
  echo "${number:-0}"
}
told() { # told FILE: what was written for the pull request, if the policies could be asked at all
  cat "$out/$1" 2> /dev/null || echo 'Nothing could be asked: see the log of the check.'
}
least=$(most MIN_COMPARED)

rm -f "$out/review.md" "$out/replay.md" "$out/diff.md"
"$here/assemble.sh" "$base" "$out/base"
"$here/assemble.sh" . "$out/head"
status=0
echo "== recorded calls"
detent policy replay "$base/log" --baseline "$out/base" --candidate "$out/head" \
  --max-flips "$(most MAX_FLIPS)" --max-permissions "$(most MAX_PERMISSIONS)" \
  --min-compared "$((least > 0 ? least : 1))" \
  --markdown "$out/replay.md" || status=$?
echo "== ${corpora[*]}"
detent policy diff "$out/base" "$out/head" "${corpora[@]}" \
  --max-flips "$(most MAX_FLIPS)" --max-permissions "$(most MAX_BOUNDARY_PERMISSIONS)" \
  --markdown "$out/diff.md" || status=$?
{
  printf '## Calls that were recorded\n\n'
  told replay.md
  printf '\n## %s\n\n' "${corpora[*]}"
  told diff.md
} > "$out/review.md"
exit "$status"
