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

use moodle_url;
use renderable;
use renderer_base;
use templatable;

/**
 * Several learners' records as one table, and above it what their programs changed.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class people_page implements renderable, templatable {
    /** @var \stdClass[] */
    private $rows;

    /** @var \stdClass[] */
    private $impacts;

    /** @var string What the table shows, for those who cannot see it. */
    private $caption;

    /**
     * Of these rows.
     *
     * @param string $caption
     * @param \stdClass[] $rows Of {@see \local_lrsbridge\records}.
     * @param \stdClass[] $impacts
     */
    public function __construct(string $caption, array $rows, array $impacts = []) {
        $this->caption = $caption;
        $this->rows = $rows;
        $this->impacts = $impacts;
    }

    /**
     * For the template.
     *
     * @param renderer_base $output
     * @return array
     */
    public function export_for_template(renderer_base $output): array {
        $rows = array_map(function (\stdClass $row): array {
            $user = new \stdClass();
            foreach (\core_user\fields::get_name_fields() as $field) {
                $user->$field = $row->{'user' . $field};
            }
            return [
                'name' => fullname($user),
                'url' => (new moodle_url('/local/lrsbridge/user.php', ['id' => $row->userid]))->out(false),
                'program' => texts::text($row->programtitle ?? $row->program),
                'team' => texts::text($row->team),
                'completed' => texts::date($row->completedat),
                'score' => texts::percent($row->bestscore),
                'tier' => texts::text($row->tiername),
                'before' => texts::percent($row->ratebefore),
                'since' => texts::percent($row->ratesince),
                'nextpractice' => texts::text($row->nextpractice),
            ];
        }, $this->rows);
        $impacts = array_map(function (\stdClass $row): array {
            return [
                'title' => texts::text($row->programtitle ?? $row->program),
                'metric' => texts::text($row->metrictitle ?? $row->metric),
                'horizon' => $row->horizon,
                'verdict' => texts::text($row->verdict),
                'sentence' => $row->sentence,
                'nextlook' => $row->nextlook ? get_string('nextlook', 'local_lrsbridge', texts::date($row->nextlook)) : null,
            ];
        }, $this->impacts);
        return [
            'caption' => $this->caption,
            'rows' => $rows,
            'nothing' => !$rows,
            'impacts' => $impacts,
            'hasimpacts' => (bool) $impacts,
        ];
    }
}
