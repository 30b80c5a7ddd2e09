#!/usr/bin/env bash
# Measures Gatehouse side by side with the upstream alone, a bare httputil.ReverseProxy, nginx (limit_req and
# auth_request) and Caddy (forward_auth), and prints Markdown tables. About six minutes; --quick takes one.
#
#   packaging/bench.sh [--quick] [--no-caddy] [-- OPTIONS OF packaging/bench]
#   packaging/bench.sh -- -answer 64k -connections 64
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse-tools"
options=()
caddy=yes
while [ $# -gt 0 ]; do
	case "$1" in
	--quick) options+=(-rounds 1 -length 1s -connections 64) ;;
	--no-caddy) caddy= ;;
	--)
		shift
		options+=("$@")
		break
		;;
	*)
		echo "usage: packaging/bench.sh [--quick] [--no-caddy] [-- OPTIONS]" >&2
		exit 2
		;;
	esac
	shift
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/gatehouse" ./cmd/gatehouse
go build -o "$work/bench" ./packaging/bench
if [ -n "$caddy" ]; then
	version="$(sed -n 's|^require github.com/caddyserver/caddy/v2 ||p' packaging/bench/caddy/go.mod)"
	caddy="$tools/caddy-$version"
	if [ ! -x "$caddy" ]; then
		echo "building Caddy $version (once)" >&2
		mkdir -p "$tools"
		(cd packaging/bench/caddy && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$caddy" .)
	fi
	options+=(-caddy "$caddy")
fi
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || echo "nginx is not installed: apt-get install nginx-light" >&2
ulimit -n 65536 2>/dev/null || true
"$work/bench" -gatehouse "$work/gatehouse" "${options[@]}"
