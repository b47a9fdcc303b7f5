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
use local_lrsbridge\feed;
use local_lrsbridge\settings;
use local_lrsbridge\store;

/**
 * Web service: take a batch of rows that lrs-bridge sends.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class push_rows extends external_api {
    /**
     * Parameters. One text, since PHP's max_input_vars cuts long lists of form fields off without a word.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([
            'rows' => new external_value(
                PARAM_RAW,
                'JSON text: a list of at most ' . store::MOST . ' rows, each with feed, key, version, checksum, deleted, user, body'
            ),
        ]);
    }

    /**
     * Take rows. Safe to repeat.
     *
     * @param string $rows
     * @return array An answer for each row, in their order, and how many rows were received.
     */
    public static function execute(string $rows): array {
        ['rows' => $rows] = self::validate_parameters(self::execute_parameters(), ['rows' => $rows]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability('local/lrsbridge:push', $context);
        if (!settings::takes_pushes()) {
            throw new \moodle_exception('pushoff', 'local_lrsbridge');
        }
        $list = json_decode($rows, true);
        if (!is_array($list) || array_values($list) !== $list) {
            throw new \invalid_parameter_exception('rows is not a JSON list: ' . json_last_error_msg());
        }
        if (count($list) > store::MOST) {
            throw new \invalid_parameter_exception('At most ' . store::MOST . ' rows a call; these are ' . count($list));
        }
        return ['answers' => store::take($list, self::noting($list)), 'received' => count($list)];
    }

    /**
     * What is returned.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'answers' => new external_multiple_structure(new external_single_structure([
                'key' => new external_value(PARAM_RAW, 'Key of the row'),
                'outcome' => new external_value(PARAM_ALPHA, 'stored, unchanged, deleted, unmatched or refused'),
                'message' => new external_value(PARAM_RAW, 'Why, or null', VALUE_REQUIRED, null, NULL_ALLOWED),
            ])),
            'received' => new external_value(PARAM_INT, 'How many rows came'),
        ]);
    }

    /**
     * What notes the answers, by feed.
     *
     * @param array $rows
     * @return callable
     */
    private static function noting(array $rows): callable {
        return function (array $answers) use ($rows): void {
            $byfeed = [];
            foreach ($answers as $place => $answer) {
                $feed = is_array($rows[$place]) ? feed::get($rows[$place]['feed'] ?? null) : null;
                $byfeed[$feed ? $feed->name : 'unknown'][] = $answer;
            }
            foreach ($byfeed as $feed => $some) {
                exchanges::note(exchanges::PUSH, $feed, $some);
            }
        };
    }
}
