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

namespace local_lrsbridge\external;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/compat.php');

use core_external\external_api;
use core_external\external_function_parameters;
use core_external\external_single_structure;
use core_external\external_value;

/**
 * Web service: let logstore_xapi send again what it could not, as the button of its error report does.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class resend_failed extends external_api {
    /** @var int The most events that are put back at once. */
    private const MOST = 1000;

    /** @var int What logstore_xapi notes of an event that it cannot make a statement of: it would fail again. */
    private const NO_STATEMENT = 10000;

    /**
     * Parameters.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([
            'courseid' => new external_value(PARAM_INT, 'The course whose events are meant'),
            'since' => new external_value(PARAM_INT, 'Leave events that happened before', VALUE_DEFAULT, 0),
        ]);
    }

    /**
     * Put failed events of a course back, the oldest first; its task sends them, some every half hour.
     *
     * @param int $courseid
     * @param int $since
     * @return array Whether logstore_xapi is installed, and how many events were put back.
     */
    public static function execute(int $courseid, int $since = 0): array {
        global $DB;
        $given = ['courseid' => $courseid, 'since' => $since];
        ['courseid' => $courseid, 'since' => $since] = self::validate_parameters(self::execute_parameters(), $given);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability('local/lrsbridge:push', $context);
        if (!get_config('logstore_xapi', 'version')) {
            return ['installed' => false, 'events' => 0];
        }
        require_capability('logstore/xapi:manageerrors', $context);
        require_once(\core_component::get_plugin_directory('logstore', 'xapi') . '/lib.php');
        $select = 'courseid = :courseid AND timecreated >= :since AND (errortype IS NULL OR errortype <> :nostatement)';
        $params = ['courseid' => $courseid, 'since' => $since, 'nostatement' => self::NO_STATEMENT];
        // Both or neither: one that is put back and stays here too would be sent twice.
        $transaction = $DB->start_delegated_transaction();
        $ids = array_keys($DB->get_records_select('logstore_xapi_failed_log', $select, $params, 'id', 'id', 0, self::MOST));
        if ($ids) {
            (new \logstore_xapi\log\moveback($ids))->execute();
        }
        $transaction->allow_commit();
        return ['installed' => true, 'events' => count($ids)];
    }

    /**
     * What is returned.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'installed' => new external_value(PARAM_BOOL, 'Whether logstore_xapi is installed'),
            'events' => new external_value(PARAM_INT, 'How many events were put back'),
        ]);
    }
}
