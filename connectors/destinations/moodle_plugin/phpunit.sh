#!/bin/sh
# Run the plugin's PHPUnit tests, and the core's tests of privacy, which look at every plugin, in a Moodle: phpunit.sh SITE
#
# SITE is the folder of an installed Moodle whose config.php names phpunit_prefix and phpunit_dataroot, such as `www` below the
# folder that `make moodle` fills; the plugin there is replaced. Where it has no PHPUnit, the one of this machine (Debian's
# package phpunit, 9.6, for Moodle up to 4.5) stands in for composer's. Its tests want the locale en_AU.UTF-8.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
site=${1:?"Which Moodle? phpunit.sh SITE"}
if ! grep -qs phpunit_prefix "$site/config.php"; then
    echo "$site/config.php is not there, or names no phpunit_prefix and phpunit_dataroot." >&2
    exit 2
fi

rm -rf "$site/local/lrsbridge"
cp -r "$here/lrsbridge" "$site/local/lrsbridge"
cd "$site"
if [ ! -e vendor/bin/phpunit ]; then
    mkdir -p vendor/bin vendor/phpunit/phpunit
    ln -s "$(command -v phpunit)" vendor/bin/phpunit
    echo '{}' >vendor/phpunit/phpunit/composer.json
    echo "<?php require_once '/usr/share/php/PHPUnit/Autoload.php';" >vendor/autoload.php
fi

run() { php -d max_input_vars=5000 "$@"; }
if ! run admin/tool/phpunit/cli/util.php --diag >/dev/null; then
    run admin/tool/phpunit/cli/util.php --drop >/dev/null || true
    run admin/tool/phpunit/cli/util.php --install >/dev/null
fi
run admin/tool/phpunit/cli/util.php --buildconfig >/dev/null
run vendor/bin/phpunit --fail-on-warning --testsuite local_lrsbridge_testsuite
run vendor/bin/phpunit --filter lrsbridge privacy/tests/privacy/provider_test.php
