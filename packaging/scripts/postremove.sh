#!/bin/sh
# After removal. The data stay in /var/lib/gatehouse until somebody deletes them.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
