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

namespace local_lrsbridge;

use core_reportbuilder\local\helpers\report as helper;
use core_reportbuilder\local\models\report;
use local_lrsbridge\reportbuilder\datasource\impacts;
use local_lrsbridge\reportbuilder\datasource\records;

/**
 * Custom reports that are there from the start; admins may change, copy or delete them.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class ready_reports {
    /** @var string[] Strings that name them, by source. */
    private const REPORTS = [records::class => 'readyrecords', impacts::class => 'readyimpacts'];

    /**
     * Make those whose source has no report yet.
     */
    public static function make(): void {
        global $DB;

        foreach (self::REPORTS as $source => $name) {
            if (!report::record_exists_select('source = :source', ['source' => $source])) {
                $made = helper::create_report((object) ['name' => get_string($name, 'local_lrsbridge'), 'source' => $source]);
                // On the command line nobody is at work, and the list of custom reports leaves out what nobody modified.
                if (!$made->get('usermodified') && ($admin = get_admin())) {
                    $whose = ['id' => $made->get('id'), 'usercreated' => $admin->id, 'usermodified' => $admin->id];
                    $DB->update_record(report::TABLE, (object) $whose);
                }
            }
        }
    }
}
