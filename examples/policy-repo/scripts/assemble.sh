#!/usr/bin/env bash
# assemble.sh SOURCE OUT: the rules Detent ships, with SOURCE/policy laid over them, as one bundle.
set -euo pipefail
source=${1:?a checkout of this repository} out=${2:?where the bundle goes}
"$(dirname "$0")/plain.sh" "$source"
rm -rf "$out"
detent policy init "$out" > /dev/null
sed 's/"detent",/"detent", "protected",/' "$out/.manifest" > "$out/.manifest.new" # a root of ours
mv "$out/.manifest.new" "$out/.manifest"
cp -R "$source/policy/." "$out/"
cat "$source/policy/reasons/more.yaml" >> "$out/reasons/data.yaml"
