#!/bin/sh
# Run the plugin's PHPUnit tests, and the core's tests of privacy, which look at every plugin, in a Moodle: phpunit.sh SITE
#
# SITE is the folder of a Moodle whose config.php names phpunit_prefix and phpunit_dataroot, such as `www` below the folder
# that `make moodle` fills, on whatever database its config.php has (pgsql, mariadb, ...); the plugin there is replaced.
# Where it has no PHPUnit, $PHPUNIT stands in for composer's, by default the one of this machine (Debian's package phpunit:
# 9.6 in Debian 12, for Moodle up to 4.5; 11.5 in Debian 13, for Moodle 5). Its tests want the locale en_AU.UTF-8.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
site=${1:?"Which Moodle? phpunit.sh SITE"}
if ! grep -qs phpunit_prefix "$site/config.php"; then
    echo "$site/config.php is not there, or names no phpunit_prefix and phpunit_dataroot." >&2
    exit 2
fi

cd "$site"
# Since Moodle 5.1 the pages lie in a folder of their own.
code=.
[ ! -e public/version.php ] || code=public
rm -rf "$code/local/lrsbridge"
cp -r "$here/lrsbridge" "$code/local/lrsbridge"
if [ ! -e vendor/bin/phpunit ]; then
    phpunit=${PHPUNIT:-$(command -v phpunit)}
    mkdir -p vendor/bin vendor/phpunit/phpunit
    ln -s "$phpunit" vendor/bin/phpunit
    echo '{}' >vendor/phpunit/phpunit/composer.json
    echo "<?php require_once '$(dirname "$phpunit")/../share/php/PHPUnit/Autoload.php';" >vendor/autoload.php
fi

run() { php -d max_input_vars=5000 "$@"; }
if ! run "$code/admin/tool/phpunit/cli/util.php" --diag >/dev/null; then
    run "$code/admin/tool/phpunit/cli/util.php" --drop >/dev/null || true
    run "$code/admin/tool/phpunit/cli/util.php" --install >/dev/null
fi
run "$code/admin/tool/phpunit/cli/util.php" --buildconfig >/dev/null
run vendor/bin/phpunit --fail-on-warning --testsuite local_lrsbridge_testsuite
run vendor/bin/phpunit --filter lrsbridge "$code/privacy/tests/privacy/provider_test.php"
