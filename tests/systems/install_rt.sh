#!/bin/sh
# Install Request Tracker 5 from Debian's packages, without a database or web server of its own: the tests bring theirs.
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Request Tracker is installed from Debian's packages by root. Run this as root, on Debian 12." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
debconf-set-selections <<SETTINGS
request-tracker5 request-tracker5/webbaseurl string http://127.0.0.1
request-tracker5 request-tracker5/webpath string
request-tracker5 request-tracker5/rtname string tests
request-tracker5 request-tracker5/dbconfig-install boolean false
SETTINGS
apt-get install -y -qq --no-install-recommends \
    request-tracker5 rt5-standalone rt5-db-sqlite dbconfig-no-thanks sqlite3 >/dev/null
