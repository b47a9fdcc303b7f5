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
 * Tries the connection and tells what is wrong.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/adminlib.php');

admin_externalpage_setup('local_lrsbridge_test');

$findings = (new \local_lrsbridge\connection_test())->run();

echo $OUTPUT->header();
echo $OUTPUT->heading(get_string('testconnection', 'local_lrsbridge'));
foreach ($findings as $finding) {
    echo $OUTPUT->notification(s($finding['message']), $finding['level'], false);
}
echo $OUTPUT->single_button($PAGE->url, get_string('testagain', 'local_lrsbridge'), 'get');
echo html_writer::link(
    new moodle_url('/admin/settings.php', ['section' => 'local_lrsbridge']),
    get_string('settings', 'local_lrsbridge')
);
echo $OUTPUT->footer();
