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
 * Where the pages hang in the navigation.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Links of a user's profile: the record, and for those who lead others, the team's.
 *
 * @param \core_user\output\myprofile\tree $tree
 * @param stdClass $user Whose profile it is.
 * @param bool $iscurrentuser
 * @param stdClass|null $course
 */
function local_lrsbridge_myprofile_navigation($tree, $user, $iscurrentuser, $course) {
    if (isguestuser() || !isloggedin()) {
        return;
    }
    $records = new \local_lrsbridge\records(new \local_lrsbridge\visibility());
    $links = [];
    if ($iscurrentuser || $records->has_user((int) $user->id)) {
        $links['record'] = [
            get_string($iscurrentuser ? 'myrecord' : 'userrecord', 'local_lrsbridge'),
            new moodle_url('/local/lrsbridge/user.php', $iscurrentuser ? [] : ['id' => $user->id]),
        ];
    }
    if ($iscurrentuser && $records->visibility()->team()) {
        $links['team'] = [get_string('myteam', 'local_lrsbridge'), new moodle_url('/local/lrsbridge/team.php')];
    }
    foreach ($links as $name => [$title, $url]) {
        $tree->add_node(new \core_user\output\myprofile\node('reports', 'local_lrsbridge_' . $name, $title, null, $url));
    }
}

/**
 * Link of a course that belongs to a program, for those who may see its learners.
 *
 * @param navigation_node $navigation
 * @param stdClass $course
 * @param context_course $context
 */
function local_lrsbridge_extend_navigation_course($navigation, $course, $context) {
    if (!(new \local_lrsbridge\visibility())->sees_course((int) $course->id)) {
        return;
    }
    $navigation->add(
        get_string('courserecords', 'local_lrsbridge'),
        new moodle_url('/local/lrsbridge/course.php', ['id' => $course->id]),
        navigation_node::TYPE_SETTING,
        null,
        'local_lrsbridge',
        new pix_icon('i/report', '')
    );
}
