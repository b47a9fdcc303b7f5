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

namespace local_lrsbridge\task;

use local_lrsbridge\people;

/**
 * Looks again for the users of rows that had none.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class match_users extends \core\task\scheduled_task {
    /**
     * Name for admins.
     *
     * @return string
     */
    public function get_name() {
        return get_string('taskmatch', 'local_lrsbridge');
    }

    /**
     * Match rows and tell how many found their user.
     */
    public function execute() {
        mtrace(get_string('matched', 'local_lrsbridge', people::match_again()));
    }
}
