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
 * Records of those whom one leads.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

require_login(null, false);
$page = optional_param('page', 0, PARAM_INT);
$perpage = 50;

$PAGE->set_url('/local/lrsbridge/team.php');
$PAGE->set_context(context_system::instance());
$PAGE->set_pagelayout('standard');
$title = get_string('myteam', 'local_lrsbridge');
$PAGE->set_title($title);
$PAGE->set_heading($title);

$visibility = new \local_lrsbridge\visibility();
[$rows, $count] = (new \local_lrsbridge\records($visibility))->of_team(max(0, $page) * $perpage, $perpage);

echo $OUTPUT->header();
if (!$visibility->team()) {
    echo $OUTPUT->notification(get_string('noteam', 'local_lrsbridge'), 'info');
}
echo $OUTPUT->render_from_template(
    'local_lrsbridge/people_page',
    (new \local_lrsbridge\output\people_page($title, $rows))->export_for_template($OUTPUT)
);
echo $OUTPUT->paging_bar($count, $page, $perpage, $PAGE->url);
echo $OUTPUT->footer();
