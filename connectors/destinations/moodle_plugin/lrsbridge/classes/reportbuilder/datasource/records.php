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

namespace local_lrsbridge\reportbuilder\datasource;

use core_reportbuilder\datasource;
use core_reportbuilder\local\entities\course;
use core_reportbuilder\local\entities\user;
use core_reportbuilder\local\helpers\database;
use local_lrsbridge\reportbuilder\local\entities\measure;
use local_lrsbridge\reportbuilder\local\entities\record;

/**
 * Learners in programs, with their measures: rows that the user at work may see, whoever made the report.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class records extends datasource {
    /**
     * Name for admins.
     *
     * @return string
     */
    public static function get_name(): string {
        return get_string('sourcerecords', 'local_lrsbridge');
    }

    /**
     * Tables, entities, and who sees what.
     */
    protected function initialise(): void {
        $record = new record();
        $alias = $record->alias();
        $this->set_main_table('local_lrsbridge_record', $alias);
        $this->add_entity($record);
        $this->add_base_condition_sql("{$alias}.deleted = 0");
        $this->add_base_condition_sql(...record::visible($alias));

        $measure = new measure();
        $other = $measure->alias();
        $this->add_entity($measure->add_join(
            "LEFT JOIN {local_lrsbridge_measure} {$other}
                    ON {$other}.learner = {$alias}.learner AND {$other}.program = {$alias}.program AND {$other}.deleted = 0"
        ));

        $user = new user();
        $useralias = $user->get_table_alias('user');
        $this->add_entity($user->add_join(
            "LEFT JOIN {user} {$useralias} ON {$useralias}.id = {$alias}.userid AND {$useralias}.deleted = 0"
        ));

        // Courses of the program that the learner is enrolled in.
        $course = new course();
        $coursealias = $course->get_table_alias('course');
        $link = database::generate_alias();
        $this->add_entity($course->add_joins([
            "LEFT JOIN (SELECT DISTINCT l.program, l.courseid, uenr.userid
                          FROM {local_lrsbridge_course} l
                          JOIN {enrol} e ON e.courseid = l.courseid
                          JOIN {user_enrolments} uenr ON uenr.enrolid = e.id) {$link}
                    ON {$link}.program = {$alias}.program AND {$link}.userid = {$alias}.userid",
            "LEFT JOIN {course} {$coursealias} ON {$coursealias}.id = {$link}.courseid",
        ]));

        $this->add_all_from_entities();
    }

    /**
     * Columns of a new report.
     *
     * @return string[]
     */
    public function get_default_columns(): array {
        return [
            'user:fullnamewithlink',
            'record:programtitle',
            'record:team',
            'record:completedat',
            'record:bestscore',
            'record:tiername',
            'record:ratebefore',
            'record:ratesince',
            'record:nextpractice',
        ];
    }

    /**
     * How a new report is sorted.
     *
     * @return int[]
     */
    public function get_default_column_sorting(): array {
        return [
            'user:fullnamewithlink' => SORT_ASC,
            'record:programtitle' => SORT_ASC,
        ];
    }

    /**
     * Filters of a new report.
     *
     * @return string[]
     */
    public function get_default_filters(): array {
        return [
            'record:programtitle',
            'record:team',
            'user:fullname',
        ];
    }

    /**
     * Conditions of a new report: none beside who may see what.
     *
     * @return string[]
     */
    public function get_default_conditions(): array {
        return [];
    }
}
