#!/bin/sh
# After installation by dpkg or rpm: the service's user, and its rights.
set -e

if ! getent passwd gatehouse >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/gatehouse --no-create-home \
		--shell /usr/sbin/nologin gatehouse
fi
chown root:gatehouse /etc/gatehouse /etc/gatehouse/gatehouse.yaml
chmod 0750 /etc/gatehouse
chmod 0640 /etc/gatehouse/gatehouse.yaml

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade goes on serving; a first installation waits for its operator.
	systemctl try-restart gatehouse.service
fi

if [ "$1" = "configure" ] && [ -z "$2" ] || [ "$1" = "1" ]; then
	cat <<'TEXT'
Gatehouse is installed. Next:
  1. Set the address of your app (upstream) in /etc/gatehouse/gatehouse.yaml
  2. systemctl enable --now gatehouse
  3. journalctl -u gatehouse    shows the link with which you claim the console
TEXT
fi
