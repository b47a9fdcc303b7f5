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
 * Web service functions, and the service that lrs-bridge uses.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$functions = [
    'local_lrsbridge_push_rows' => [
        'classname' => 'local_lrsbridge\external\push_rows',
        'description' => 'Takes a batch of rows from lrs-bridge and answers for each.',
        'type' => 'write',
        'capabilities' => 'local/lrsbridge:push',
    ],
    'local_lrsbridge_held' => [
        'classname' => 'local_lrsbridge\external\held',
        'description' => 'Tells which rows of a feed are held, so that both sides can be compared.',
        'type' => 'read',
        'capabilities' => 'local/lrsbridge:push',
    ],
    'local_lrsbridge_status' => [
        'classname' => 'local_lrsbridge\external\status',
        'description' => 'Tells versions, mode, counts and the last exchange.',
        'type' => 'read',
        'capabilities' => 'local/lrsbridge:push',
    ],
    'local_lrsbridge_resend_failed' => [
        'classname' => 'local_lrsbridge\external\resend_failed',
        'description' => 'Lets logstore_xapi send again what it could not.',
        'type' => 'write',
        'capabilities' => 'local/lrsbridge:push,logstore/xapi:manageerrors',
    ],
];

$services = [
    // Names of services are unique in a site: this one is not to meet one that an admin made by hand.
    'lrs-bridge (local_lrsbridge)' => [
        'shortname' => 'local_lrsbridge',
        // The functions of the core let lrs-bridge compare completions, grades and people; each asks for its own
        // capabilities.
        'functions' => [
            'local_lrsbridge_push_rows',
            'local_lrsbridge_held',
            'local_lrsbridge_status',
            'local_lrsbridge_resend_failed',
            'core_webservice_get_site_info',
            'core_user_get_users_by_field',
            'core_course_get_courses_by_field',
            'core_course_get_contents',
            'core_enrol_get_enrolled_users',
            'core_completion_get_activities_completion_status',
            'core_completion_get_course_completion_status',
            'gradereport_user_get_grade_items',
            'core_reportbuilder_list_reports',
            'core_reportbuilder_retrieve_report',
        ],
        'requiredcapability' => 'local/lrsbridge:push',
        'restrictedusers' => 0,
        'enabled' => 1,
    ],
];
