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
use core_reportbuilder\local\helpers\database;
use local_lrsbridge\reportbuilder\local\entities\impact;

/**
 * What programs changed: rows that the user at work may see, whoever made the report.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class impacts extends datasource {
    /**
     * Name for admins.
     *
     * @return string
     */
    public static function get_name(): string {
        return get_string('sourceimpacts', 'local_lrsbridge');
    }

    /**
     * Tables, entities, and who sees what.
     */
    protected function initialise(): void {
        $impact = new impact();
        $alias = $impact->alias();
        $this->set_main_table('local_lrsbridge_impact', $alias);
        $this->add_entity($impact);
        $this->add_base_condition_sql("{$alias}.deleted = 0");
        $this->add_base_condition_sql(...impact::visible($alias));

        // Courses of the program.
        $course = new course();
        $coursealias = $course->get_table_alias('course');
        $link = database::generate_alias();
        $this->add_entity($course->add_joins([
            "LEFT JOIN {local_lrsbridge_course} {$link} ON {$link}.program = {$alias}.program",
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
            'impact:programtitle',
            'impact:metrictitle',
            'impact:horizon',
            'impact:verdict',
            'impact:sentence',
            'impact:estimate',
            'impact:lowbound',
            'impact:highbound',
            'impact:grade',
            'impact:people',
            'impact:nextlook',
        ];
    }

    /**
     * How a new report is sorted.
     *
     * @return int[]
     */
    public function get_default_column_sorting(): array {
        return [
            'impact:programtitle' => SORT_ASC,
            'impact:metrictitle' => SORT_ASC,
        ];
    }

    /**
     * Filters of a new report.
     *
     * @return string[]
     */
    public function get_default_filters(): array {
        return [
            'impact:programtitle',
            'impact:metrictitle',
            'impact:verdict',
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
