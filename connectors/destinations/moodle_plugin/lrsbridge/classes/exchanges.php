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

/**
 * What was exchanged last, by feed and direction; told on the health page and by the web service.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class exchanges {
    /** @var string lrs-bridge sends. */
    public const PUSH = 'push';
    /** @var string This site asks. */
    public const PULL = 'pull';

    /** @var string */
    private const TABLE = 'local_lrsbridge_exchange';

    /**
     * Note what became of rows. Totals since the plugin was installed, or everything was last forgotten.
     *
     * @param string $direction
     * @param string $feed
     * @param array[] $answers
     * @param string|null $position Where pulling goes on.
     * @param bool $swept Whether all there are were given again, as {@see begin_anew} asks for.
     */
    public static function note(
        string $direction,
        string $feed,
        array $answers,
        ?string $position = null,
        bool $swept = false
    ): void {
        global $DB;

        $row = self::row($direction, $feed);
        $outcomes = array_count_values(array_column($answers, 'outcome'));
        $row->timelast = $row->timesuccess = time();
        $row->received += count($answers);
        $row->stored += count($answers) - ($outcomes[store::UNCHANGED] ?? 0) - ($outcomes[store::REFUSED] ?? 0);
        $row->refused += $outcomes[store::REFUSED] ?? 0;
        $row->failures = 0;
        $row->problem = self::first_refusal($answers);
        $row->position = $position ?? $row->position;
        $row->sweeping = $swept ? 0 : $row->sweeping;
        $DB->update_record(self::TABLE, $row);
    }

    /**
     * Note that an exchange failed, and why.
     *
     * @param string $direction
     * @param string $feed
     * @param string $problem
     */
    public static function note_failure(string $direction, string $feed, string $problem): void {
        global $DB;

        $row = self::row($direction, $feed);
        $row->timelast = time();
        $row->failures++;
        $row->problem = $problem;
        $DB->update_record(self::TABLE, $row);
    }

    /**
     * Where pulling of a feed has come to; null is its beginning.
     *
     * @param string $feed
     * @return string|null
     */
    public static function position(string $feed): ?string {
        global $DB;

        $position = $DB->get_field(self::TABLE, 'position', ['feed' => $feed, 'direction' => self::PULL]);
        return $position === false ? null : $position;
    }

    /**
     * In which round of pulling a feed is, and whether that began anew and has not come to its end yet.
     *
     * @param string $feed
     * @return array
     */
    public static function round(string $feed): array {
        $row = self::row(self::PULL, $feed);
        return [(int) $row->pullround, (bool) $row->sweeping];
    }

    /**
     * Begin to pull a feed anew. When all of it was given again, what was not is to be dropped.
     *
     * @param string $feed
     */
    public static function begin_anew(string $feed): void {
        global $DB;

        $row = self::row(self::PULL, $feed);
        $row->position = null;
        $row->pullround++;
        $row->sweeping = 1;
        $DB->update_record(self::TABLE, $row);
    }

    /**
     * All there were.
     *
     * @return \stdClass[]
     */
    public static function all(): array {
        global $DB;

        return array_values($DB->get_records(self::TABLE, null, 'direction, feed'));
    }

    /**
     * The row of a feed and direction, made when it is not there.
     *
     * @param string $direction
     * @param string $feed
     * @return \stdClass
     */
    private static function row(string $direction, string $feed): \stdClass {
        global $DB;

        $which = ['feed' => $feed, 'direction' => $direction];
        $row = $DB->get_record(self::TABLE, $which);
        if (!$row) {
            $id = $DB->insert_record(self::TABLE, $which + ['timelast' => 0]);
            $row = $DB->get_record(self::TABLE, ['id' => $id], '*', MUST_EXIST);
        }
        return $row;
    }

    /**
     * Why a row was refused, for the first of them; null if none was.
     *
     * @param array[] $answers
     * @return string|null
     */
    private static function first_refusal(array $answers): ?string {
        foreach ($answers as $answer) {
            if ($answer['outcome'] === store::REFUSED) {
                return get_string('problemrefused', 'local_lrsbridge', ['key' => $answer['key'], 'message' => $answer['message']]);
            }
        }
        return null;
    }
}
