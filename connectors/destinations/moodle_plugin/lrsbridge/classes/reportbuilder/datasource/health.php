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
use local_lrsbridge\reportbuilder\local\entities\health as rows;

/**
 * Whether the data behind the figures are in order: rows that the user at work may see, whoever made the report.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class health extends datasource {
    /**
     * Name for admins.
     *
     * @return string
     */
    public static function get_name(): string {
        return get_string('sourcehealth', 'local_lrsbridge');
    }

    /**
     * Tables, entities, and who sees what.
     */
    protected function initialise(): void {
        $health = new rows();
        $alias = $health->alias();
        $this->set_main_table('local_lrsbridge_health', $alias);
        $this->add_entity($health);
        $this->add_base_condition_sql("{$alias}.deleted = 0");
        $this->add_base_condition_sql(...rows::visible($alias));
        $this->add_all_from_entities();
    }

    /**
     * Columns of a new report.
     *
     * @return string[]
     */
    public function get_default_columns(): array {
        return [
            'health:kind',
            'health:title',
            'health:healthstate',
            'health:message',
            'health:lastsuccessat',
            'health:itemcount',
            'health:quarantined',
            'health:unmatched',
        ];
    }

    /**
     * How a new report is sorted.
     *
     * @return int[]
     */
    public function get_default_column_sorting(): array {
        return [
            'health:kind' => SORT_ASC,
            'health:title' => SORT_ASC,
        ];
    }

    /**
     * Filters of a new report.
     *
     * @return string[]
     */
    public function get_default_filters(): array {
        return [
            'health:kind',
            'health:healthstate',
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
