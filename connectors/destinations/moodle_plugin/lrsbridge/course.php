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
 * Records of a course's learners, in the programs that the course belongs to.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

$id = required_param('id', PARAM_INT);
$page = optional_param('page', 0, PARAM_INT);
$perpage = 50;

$course = get_course($id);
require_login($course);
$context = context_course::instance($course->id);
require_capability('local/lrsbridge:viewcourse', $context);

$PAGE->set_url('/local/lrsbridge/course.php', ['id' => $course->id]);
$PAGE->set_pagelayout('report');
$title = get_string('courserecords', 'local_lrsbridge');
$PAGE->set_title($title);
$PAGE->set_heading(format_string($course->fullname, true, ['context' => $context]));

$records = new \local_lrsbridge\records(new \local_lrsbridge\visibility());
[$rows, $count] = $records->of_course($course->id, max(0, $page) * $perpage, $perpage);
$caption = get_string('recordsin', 'local_lrsbridge', format_string($course->fullname, true, ['context' => $context]));
$table = new \local_lrsbridge\output\people_page($caption, $rows, $records->impacts_of_course($course->id));

echo $OUTPUT->header();
echo $OUTPUT->heading($title);
echo $OUTPUT->render_from_template('local_lrsbridge/people_page', $table->export_for_template($OUTPUT));
echo $OUTPUT->paging_bar($count, $page, $perpage, $PAGE->url);
echo $OUTPUT->footer();
