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
 * One's own record, or that of somebody whom one may see.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

require_login(null, false);
$id = optional_param('id', $USER->id, PARAM_INT);
$own = $id == $USER->id;

$PAGE->set_url('/local/lrsbridge/user.php', $own ? [] : ['id' => $id]);
$PAGE->set_context(context_system::instance());
$PAGE->set_pagelayout('standard');

$records = new \local_lrsbridge\records(new \local_lrsbridge\visibility());
// Who may not be seen, and who is not there, are answered alike.
if (isguestuser() || (!$own && !$records->has_user($id))) {
    throw new moodle_exception('nothingtosee', 'local_lrsbridge');
}
$title = $own
    ? get_string('myrecord', 'local_lrsbridge')
    : get_string('recordof', 'local_lrsbridge', fullname(core_user::get_user($id, '*', MUST_EXIST)));
$PAGE->set_title($title);
$PAGE->set_heading($title);

echo $OUTPUT->header();
echo $OUTPUT->render_from_template(
    'local_lrsbridge/user_page',
    (new \local_lrsbridge\output\user_page($records, $id))->export_for_template($OUTPUT)
);
echo $OUTPUT->footer();
