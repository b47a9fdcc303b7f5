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

namespace local_lrsbridge\output;

use local_lrsbridge\exchanges;
use local_lrsbridge\feed;
use local_lrsbridge\settings;
use local_lrsbridge\store;
use renderable;
use renderer_base;
use templatable;

/**
 * How the exchange stands: the last of each feed, rows, errors, and people who were not found.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class health_page implements renderable, templatable {
    /** @var int People who were not found that are listed. */
    private const MOST_STRANGERS = 100;

    /**
     * For the template.
     *
     * @param renderer_base $output
     * @return array
     */
    public function export_for_template(renderer_base $output): array {
        global $DB;

        $modes = [settings::PUSH => 'modepush', settings::PULL => 'modepull', settings::BOTH => 'modeboth'];
        $strangers = self::strangers();
        return [
            'mode' => get_string($modes[settings::mode()], 'local_lrsbridge'),
            'exchanges' => array_map([self::class, 'exchange'], exchanges::all()),
            'counts' => self::counts(),
            'strangers' => $strangers,
            'hasstrangers' => (bool) $strangers,
            'erased' => $DB->count_records('local_lrsbridge_erased'),
            'sources' => self::sources(),
        ];
    }

    /**
     * One feed in one direction.
     *
     * @param \stdClass $row
     * @return array
     */
    private static function exchange(\stdClass $row): array {
        return [
            'feed' => get_string('feed' . $row->feed, 'local_lrsbridge'),
            'direction' => get_string('direction' . $row->direction, 'local_lrsbridge'),
            'last' => texts::time($row->timelast),
            'success' => texts::time($row->timesuccess),
            'received' => $row->received,
            'stored' => $row->stored,
            'refused' => $row->refused,
            'failures' => $row->failures,
            'problem' => texts::text($row->problem),
            'failing' => $row->failures > 0,
        ];
    }

    /**
     * Rows that are held, by feed.
     *
     * @return array[]
     */
    private static function counts(): array {
        $counts = [];
        foreach (store::counts() as $feed => $count) {
            $counts[] = ['feed' => get_string('feed' . $feed, 'local_lrsbridge')] + $count;
        }
        return $counts;
    }

    /**
     * Learners of lrs-bridge whom this site does not know, and how it was told of them.
     *
     * @return array[]
     */
    private static function strangers(): array {
        global $DB;

        $strangers = [];
        foreach (feed::about_people() as $feed) {
            $rows = $DB->get_records_select(
                $feed->table,
                'deleted = 0 AND userid IS NULL',
                [],
                'learner, id',
                'id, learner, userdata',
                0,
                10 * self::MOST_STRANGERS
            );
            foreach ($rows as $row) {
                $strangers += [$row->learner => self::stranger(json_decode($row->userdata ?? '', true) ?: [])];
            }
        }
        return array_slice(array_values($strangers), 0, self::MOST_STRANGERS);
    }

    /**
     * One whom this site does not know.
     *
     * @param array $user
     * @return array
     */
    private static function stranger(array $user): array {
        $known = array_merge(
            array_column((array) ($user['accounts'] ?? []), 'name'),
            [$user['idnumber'] ?? null, $user['username'] ?? null],
            (array) ($user['emails'] ?? [])
        );
        return [
            'name' => texts::text(is_string($user['name'] ?? null) ? $user['name'] : null),
            'known' => texts::text(implode(', ', array_filter($known, 'is_scalar'))),
        ];
    }

    /**
     * What lrs-bridge says of its own sources, streams and destinations.
     *
     * @return array[]
     */
    private static function sources(): array {
        global $DB;

        return array_map(function (\stdClass $row): array {
            return [
                'kind' => texts::text($row->kind),
                'title' => texts::text($row->title ?? $row->name),
                'state' => texts::text($row->healthstate),
                'message' => texts::text($row->message),
                'success' => texts::time($row->lastsuccessat),
            ];
        }, array_values($DB->get_records('local_lrsbridge_health', ['deleted' => 0], 'kind, title, id')));
    }
}
