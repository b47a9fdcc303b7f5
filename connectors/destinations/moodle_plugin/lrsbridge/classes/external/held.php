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
use local_lrsbridge\feed;
use local_lrsbridge\store;

/**
 * Web service: tell what is held of a feed, so that lrs-bridge can compare and mend it.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class held extends external_api {
    /** @var int The most rows that are told at once. */
    private const MOST = 5000;

    /**
     * Parameters.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([
            'feed' => new external_value(PARAM_ALPHA, 'Name of the feed'),
            'after' => new external_value(PARAM_RAW, 'Tell keys after this one', VALUE_DEFAULT, ''),
            'limit' => new external_value(PARAM_INT, 'How many rows at most', VALUE_DEFAULT, 1000),
        ]);
    }

    /**
     * Tell what is held, in the order of keys that this site's database has.
     *
     * @param string $feed
     * @param string $after
     * @param int $limit
     * @return array Rows with key, version and checksum, the latter `changed` where other hands changed the row; and
     *     whether
     *     there are more.
     */
    public static function execute(string $feed, string $after = '', int $limit = 1000): array {
        $given = ['feed' => $feed, 'after' => $after, 'limit' => $limit];
        ['feed' => $feed, 'after' => $after, 'limit' => $limit] = self::validate_parameters(self::execute_parameters(), $given);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability('local/lrsbridge:push', $context);
        $known = feed::get($feed);
        if (!$known) {
            throw new \invalid_parameter_exception("There is no feed {$feed}; there are " . implode(', ', feed::names()));
        }
        [$rows, $more] = store::held($known, $after, max(1, min(self::MOST, $limit)));
        return ['rows' => $rows, 'more' => $more];
    }

    /**
     * What is returned.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'rows' => new external_multiple_structure(new external_single_structure([
                'key' => new external_value(PARAM_RAW, 'Key of the row'),
                'version' => new external_value(PARAM_INT, 'Its version'),
                'checksum' => new external_value(PARAM_ALPHANUM, 'As it was sent, or: changed'),
            ])),
            'more' => new external_value(PARAM_BOOL, 'Whether there are more after these'),
        ]);
    }
}
