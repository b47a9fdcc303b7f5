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
use core_external\external_multiple_structure;
use core_external\external_single_structure;
use core_external\external_value;
use local_lrsbridge\exchanges;
use local_lrsbridge\settings;
use local_lrsbridge\site;
use local_lrsbridge\store;

/**
 * Web service: tell what this site is, and how the exchange stands.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class status extends external_api {
    /**
     * Parameters: none.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([]);
    }

    /**
     * Tell how things stand.
     *
     * @return array
     */
    public static function execute(): array {
        global $CFG;

        self::validate_parameters(self::execute_parameters(), []);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability('local/lrsbridge:push', $context);
        $plugin = get_config('local_lrsbridge');
        $counts = [];
        foreach (store::counts() as $feed => $count) {
            $counts[] = ['feed' => $feed] + $count;
        }
        $exchanges = array_map(function (\stdClass $row): array {
            return [
                'feed' => $row->feed,
                'direction' => $row->direction,
                'timelast' => (int) $row->timelast,
                'timesuccess' => (int) $row->timesuccess,
                'received' => (int) $row->received,
                'refused' => (int) $row->refused,
                'problem' => $row->problem,
            ];
        }, exchanges::all());
        return [
            'wwwroot' => $CFG->wwwroot,
            'homepage' => site::homepage(),
            'pluginversion' => settings::release(),
            'pluginbuild' => (int) $plugin->version,
            'moodlerelease' => $CFG->release,
            'mode' => settings::mode(),
            'most' => store::MOST,
            'counts' => $counts,
            'exchanges' => $exchanges,
            'timelast' => $exchanges ? max(array_column($exchanges, 'timelast')) : null,
        ];
    }

    /**
     * What is returned; times are Unix times.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'wwwroot' => new external_value(PARAM_RAW, 'Address of this site'),
            'homepage' => new external_value(PARAM_RAW, 'Home page of the accounts by which people here are known'),
            'pluginversion' => new external_value(PARAM_RAW, 'Release of this plugin'),
            'pluginbuild' => new external_value(PARAM_INT, 'Its version number'),
            'moodlerelease' => new external_value(PARAM_RAW, 'Release of Moodle'),
            'mode' => new external_value(PARAM_ALPHA, 'push, pull or both'),
            'most' => new external_value(PARAM_INT, 'Rows that local_lrsbridge_push_rows takes in one call'),
            'counts' => new external_multiple_structure(new external_single_structure([
                'feed' => new external_value(PARAM_ALPHA, 'Name of the feed'),
                'held' => new external_value(PARAM_INT, 'Rows that are held'),
                'gone' => new external_value(PARAM_INT, 'Rows that were deleted, of which key and version are kept'),
                'unmatched' => new external_value(PARAM_INT, 'Rows held that are about nobody whom this site knows'),
            ])),
            'exchanges' => new external_multiple_structure(new external_single_structure([
                'feed' => new external_value(PARAM_ALPHA, 'Name of the feed'),
                'direction' => new external_value(PARAM_ALPHA, 'push or pull'),
                'timelast' => new external_value(PARAM_INT, 'When it was tried last'),
                'timesuccess' => new external_value(PARAM_INT, 'When it worked last'),
                'received' => new external_value(PARAM_INT, 'Rows that came in all'),
                'refused' => new external_value(PARAM_INT, 'Rows that were refused in all'),
                'problem' => new external_value(PARAM_RAW, 'What went wrong last, or null', VALUE_REQUIRED, null, NULL_ALLOWED),
            ])),
            'timelast' => new external_value(PARAM_INT, 'When anything was exchanged last', VALUE_REQUIRED, null, NULL_ALLOWED),
        ]);
    }
}
