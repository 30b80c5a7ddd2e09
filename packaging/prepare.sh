#!/bin/sh
# Writes what the release packages beside the binary: completions, manual pages, the configuration file.
# goreleaser runs it before it builds. $1 is the time of the commit (2026-11-24T10:00:00Z).
set -eu
cd "$(dirname "$0")/.."
out=packaging/build
rm -rf "$out"
mkdir -p "$out/completions" "$out/man"
go build -o "$out/gatehouse" ./cmd/gatehouse
for shell in bash zsh fish; do
	"$out/gatehouse" completion "$shell" >"$out/completions/gatehouse.$shell"
done
"$out/gatehouse" man "$out/man" --date "${1%%T*}"
gzip -n -9 "$out"/man/*.1
"$out/gatehouse" init --print --data-dir /var/lib/gatehouse >"$out/gatehouse.yaml"
rm "$out/gatehouse"
