#!/bin/sh
# Before removal, but not before an upgrade.
set -e

if [ "$1" = "remove" ] || [ "$1" = "0" ]; then
	if [ -d /run/systemd/system ]; then
		systemctl disable --now gatehouse.service || true
	fi
fi
