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
 * How the exchange with lrs-bridge stands.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/adminlib.php');

admin_externalpage_setup('local_lrsbridge_health');
$action = optional_param('action', '', PARAM_ALPHA);
$confirmed = optional_param('confirmed', false, PARAM_BOOL);

if ($action === 'match' && confirm_sesskey()) {
    redirect($PAGE->url, get_string('matched', 'local_lrsbridge', \local_lrsbridge\people::match_again()));
}
if ($action === 'forget' && $confirmed && confirm_sesskey()) {
    \local_lrsbridge\store::forget_all();
    redirect($PAGE->url, get_string('forgotten', 'local_lrsbridge'));
}

echo $OUTPUT->header();
if ($action === 'forget') {
    echo $OUTPUT->confirm(
        get_string('forgetask', 'local_lrsbridge'),
        new moodle_url($PAGE->url, ['action' => 'forget', 'confirmed' => 1]),
        $PAGE->url
    );
    echo $OUTPUT->footer();
    die();
}
echo $OUTPUT->heading(get_string('health', 'local_lrsbridge'));
echo $OUTPUT->render_from_template(
    'local_lrsbridge/health_page',
    (new \local_lrsbridge\output\health_page())->export_for_template($OUTPUT)
);
echo $OUTPUT->single_button(new moodle_url($PAGE->url, ['action' => 'match']), get_string('matchnow', 'local_lrsbridge'));
echo $OUTPUT->single_button(new moodle_url($PAGE->url, ['action' => 'forget']), get_string('forget', 'local_lrsbridge'));
echo html_writer::link(new moodle_url('/local/lrsbridge/testconnection.php'), get_string('testconnection', 'local_lrsbridge'));
echo $OUTPUT->footer();
