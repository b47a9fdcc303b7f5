<?php
// This file is part of Moodle - http://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <http://www.gnu.org/licenses/>.

/**
 * Steps from older versions.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Take the steps that are missing.
 *
 * @param int $oldversion
 * @return bool
 */
function xmldb_local_lrsbridge_upgrade($oldversion) {
    global $DB;

    $dbman = $DB->get_manager();

    if ($oldversion < 2026112101) {
        // Rounds of pulling, so that rows that a key no longer sees can be dropped.
        foreach (\local_lrsbridge\feed::names() as $name) {
            $table = new xmldb_table(\local_lrsbridge\feed::get($name)->table);
            $field = new xmldb_field('pullround', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'timemodified');
            if (!$dbman->field_exists($table, $field)) {
                $dbman->add_field($table, $field);
            }
        }
        $table = new xmldb_table('local_lrsbridge_exchange');
        $fields = [
            new xmldb_field('pullround', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '1', 'problem'),
            new xmldb_field('sweeping', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0', 'pullround'),
        ];
        foreach ($fields as $field) {
            if (!$dbman->field_exists($table, $field)) {
                $dbman->add_field($table, $field);
            }
        }
        upgrade_plugin_savepoint(true, 2026112101, 'local', 'lrsbridge');
    }

    return true;
}
