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

use local_lrsbridge\records;
use renderable;
use renderer_base;
use templatable;

/**
 * One learner's records, program by program, with what to practise next.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class user_page implements renderable, templatable {
    /** @var records */
    private $records;

    /** @var int */
    private $userid;

    /**
     * Of a user, as the viewer may see it.
     *
     * @param records $records
     * @param int $userid
     */
    public function __construct(records $records, int $userid) {
        $this->records = $records;
        $this->userid = $userid;
    }

    /**
     * For the template.
     *
     * @param renderer_base $output
     * @return array
     */
    public function export_for_template(renderer_base $output): array {
        $measures = [];
        foreach ($this->records->of_users('measures', [$this->userid]) as $row) {
            $measures[$row->program][] = self::measure($row);
        }
        $programs = [];
        foreach ($this->records->of_users('records', [$this->userid]) as $row) {
            $programs[] = self::program($row, $measures[$row->program] ?? []);
        }
        $skills = array_map([self::class, 'skill'], $this->records->of_users('readiness', [$this->userid]));
        return [
            'programs' => $programs,
            'skills' => $skills,
            'hasskills' => (bool) $skills,
            'nothing' => !$programs && !$skills,
        ];
    }

    /**
     * One program.
     *
     * @param \stdClass $row
     * @param array[] $measures
     * @return array
     */
    private static function program(\stdClass $row, array $measures): array {
        $facts = [
            'completedat' => texts::date($row->completedat),
            'bestscore' => texts::percent($row->bestscore),
            'rememberedscore' => texts::percent($row->rememberedscore),
            'tiername' => texts::text($row->tiername),
            'ratebefore' => texts::percent($row->ratebefore),
            'ratesince' => texts::percent($row->ratesince),
            'daystofirst' => texts::number($row->daystofirst),
        ];
        $named = [];
        foreach ($facts as $name => $value) {
            $named[] = ['name' => get_string('page' . $name, 'local_lrsbridge'), 'value' => $value];
        }
        $url = clean_param((string) $row->url, PARAM_URL);
        $title = texts::text($row->programtitle ?? $row->program);
        return [
            'id' => 'lrsbridge-program-' . $row->id,
            'title' => $title,
            'team' => $row->team === null ? null : get_string('inteam', 'local_lrsbridge', $row->team),
            'nextpractice' => $row->nextpractice,
            'facts' => $named,
            'measures' => $measures,
            'hasmeasures' => (bool) $measures,
            'measurescaption' => get_string('measures', 'local_lrsbridge', $title),
            'more' => get_string('moreabout', 'local_lrsbridge', $title),
            'url' => preg_match('~^https?://~i', $url) ? $url : null,
        ];
    }

    /**
     * One measure.
     *
     * @param \stdClass $row
     * @return array
     */
    private static function measure(\stdClass $row): array {
        $better = ['up' => 'betterup', 'down' => 'betterdown'][$row->direction] ?? null;
        return [
            'title' => texts::text($row->metrictitle ?? $row->metric),
            'before' => texts::number($row->beforemean, $row->unit),
            'beforecount' => texts::number($row->beforecount),
            'since' => texts::number($row->sincemean, $row->unit),
            'sincecount' => texts::number($row->sincecount),
            'better' => $better ? get_string($better, 'local_lrsbridge') : texts::nothing(),
        ];
    }

    /**
     * One skill.
     *
     * @param \stdClass $row
     * @return array
     */
    private static function skill(\stdClass $row): array {
        $states = ['ready' => 'stateready', 'not yet' => 'statenotyet', 'unknown' => 'stateunknown'];
        return [
            'title' => texts::text($row->skilltitle ?? $row->skill),
            'moment' => texts::text($row->moment),
            'state' => isset($states[$row->readystate])
                ? get_string($states[$row->readystate], 'local_lrsbridge')
                : texts::text($row->readystate),
            'level' => texts::percent($row->readylevel),
            'lastevidence' => texts::date($row->lastevidenceat),
            'nextpractice' => texts::text($row->nextpractice),
        ];
    }
}
