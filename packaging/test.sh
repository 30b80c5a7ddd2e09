#!/usr/bin/env bash
# Everything that must hold before a change lands: formatting, vet, staticcheck, generated code, the release
# configuration, and all tests with the race detector, on SQLite and PostgreSQL, with Redis, nginx and a browser.
# On Debian and Ubuntu it installs what is missing (as root or with sudo). With CI=true nothing may be skipped.
#
#   packaging/test.sh            everything
#   packaging/test.sh static     without the tests
#   packaging/test.sh tests      the tests alone
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse-tools"
staticcheck_version=v0.8.2
templ_version=v0.3.1020
goreleaser_version=v2.15.2
versitygw_version=v1.8.0 # an S3-compatible storage for tests of exports
timings=()
what="${1:-all}"

report() {
	echo
	[ ${#timings[@]} = 0 ] || printf '%s\n' "${timings[@]}"
	printf '%5ds  in all\n' $SECONDS
}
trap report EXIT

# step NAME COMMAND… runs a command and notes how long it took.
step() {
	local name="$1" began=$SECONDS
	shift
	echo "== $name"
	local status=0
	set +e
	(
		set -e # which a command behind || or in a condition would not heed
		"$@"
	)
	status=$?
	set -e
	timings+=("$(printf '%5ds  %s' $((SECONDS - began)) "$name")")
	if [ $status != 0 ]; then
		timings+=("       FAILED: $name")
		exit 1
	fi
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# install makes sure of the programs that the tests start; packages are named as Debian names them.
install() {
	local missing=()
	have_postgres || missing+=(postgresql)
	command -v redis-server >/dev/null || missing+=(redis-server)
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
		missing+=(chromium)
	command -v gcc >/dev/null || missing+=(gcc libc6-dev) # the race detector links with it
	if [ ${#missing[@]} -gt 0 ]; then
		echo "installing ${missing[*]}"
		if ! command -v apt-get >/dev/null; then
			echo "Please install: ${missing[*]}" >&2
			return 1
		fi
		as_root apt-get update -qq
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	fi
	if [ "$what" != static ]; then
		tool versitygw $versitygw_version github.com/versity/versitygw/cmd/versitygw >/dev/null # tests look in the cache
	fi
}

have_postgres() {
	command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

# tool NAME VERSION MODULE builds a tool once and keeps it in the cache; it prints the path.
tool() {
	local path="$tools/$1-$2"
	if [ ! -x "$path" ]; then
		local draft
		draft="$(mktemp -d)"
		(cd "$draft" && GOFLAGS= GOBIN="$draft" go install "$3@$2") >&2
		mkdir -p "$tools"
		mv "$draft/$1" "$path"
		rm -rf "$draft"
	fi
	echo "$path"
}

formatting() {
	local wrong
	wrong="$(gofmt -l app cmd embed packaging store web)"
	[ -z "$wrong" ] || {
		echo "not formatted: $wrong" >&2
		return 1
	}
}

# Every *_templ.go must be what templ makes of its page now.
generated() {
	local templ copy
	templ="$(tool templ $templ_version github.com/a-h/templ/cmd/templ)"
	copy="$(mktemp -d)"
	cp -r web "$copy/web"
	cp go.mod go.sum "$copy"
	(cd "$copy" && find web -name '*_templ.go' -delete && "$templ" generate >/dev/null 2>"$copy/log") || {
		cat "$copy/log" >&2
		return 1
	}
	diff -rq -x '*_templ.txt' web "$copy/web" >&2 || {
		echo "run: go run github.com/a-h/templ/cmd/templ@$templ_version generate" >&2
		return 1
	}
	rm -rf "$copy"
}

static_check() {
	"$(tool staticcheck $staticcheck_version honnef.co/go/tools/cmd/staticcheck)" ./...
}

release_check() {
	"$(tool goreleaser $goreleaser_version github.com/goreleaser/goreleaser/v2)" check goreleaser.yaml
	if command -v systemd-analyze >/dev/null; then
		systemd-analyze security --offline=true --threshold=15 --no-pager packaging/systemd/gatehouse.service | tail -1
	fi
	for script in packaging/*.sh packaging/scripts/*.sh .ci/run; do
		bash -n "$script"
	done
}

# The other systems that are released must at least compile.
cross() {
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go vet ./cmd/gatehouse
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet ./cmd/gatehouse
}

tests() { go test -race -timeout 20m ./...; }

step "install" install
if [ "$what" != tests ]; then
	step "gofmt" formatting
	step "go mod tidy" go mod tidy -diff
	step "generated code" generated
	step "go vet" go vet ./...
	step "other systems" cross
	step "staticcheck" static_check
	step "release configuration" release_check
fi
if [ "$what" != static ]; then
	step "tests" tests
fi
