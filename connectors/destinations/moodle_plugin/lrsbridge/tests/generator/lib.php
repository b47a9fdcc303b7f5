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

/**
 * Makes rows as lrs-bridge sends them.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class local_lrsbridge_generator extends component_generator_base {
    /** @var int */
    private $version = 0;

    /**
     * Forget the versions that were given out.
     */
    public function reset() {
        $this->version = 0;
        parent::reset();
    }

    /**
     * A row, the smallest that is valid; what is given replaces what it has.
     *
     * @param string $feed
     * @param string $key
     * @param array $body
     * @param stdClass|array|null $user A user of this site, or how lrs-bridge tells of one.
     * @param array $more
     * @return array
     */
    public function row(string $feed, string $key, array $body = [], $user = null, array $more = []): array {
        if ($user instanceof stdClass) {
            $user = $this->user_of($user);
        }
        return $more + [
            'feed' => $feed,
            'key' => $key,
            'version' => ++$this->version,
            'checksum' => hash('sha256', json_encode([$user, $body])),
            'deleted' => false,
            'changed_at' => '2026-11-20T10:00:00Z',
            'user' => $user,
            'body' => $body,
        ];
    }

    /**
     * A user of this site, as lrs-bridge tells of them.
     *
     * @param stdClass $user
     * @return array
     */
    public function user_of(stdClass $user): array {
        global $CFG;

        return [
            'accounts' => [['home_page' => $CFG->wwwroot, 'name' => (string) $user->id]],
            'emails' => [],
            'idnumber' => null,
            'username' => null,
            'name' => fullname($user),
        ];
    }

    /**
     * A record of a user in a program, stored.
     *
     * @param stdClass|null $user
     * @param string $program
     * @param int[] $courses Ids of the courses of the program.
     * @param array $body
     * @return array The row.
     */
    public function create_record(?stdClass $user, string $program, array $courses = [], array $body = []): array {
        global $CFG;

        $body += [
            'program' => $program,
            'program_title' => ucfirst($program),
            'team' => 'North',
            'courses' => array_map(function ($id) use ($CFG): string {
                return "{$CFG->wwwroot}/course/view.php?id={$id}";
            }, $courses),
        ];
        return $this->store($this->row('records', $this->learner($user) . '/' . $program, $body, $user));
    }

    /**
     * A row about a user in another feed than records, stored.
     *
     * @param string $feed
     * @param stdClass|null $user
     * @param string $end What follows the learner in the key.
     * @param array $body
     * @return array The row.
     */
    public function create_about(string $feed, ?stdClass $user, string $end, array $body): array {
        return $this->store($this->row($feed, $this->learner($user) . '/' . $end, $body, $user));
    }

    /**
     * Store a row.
     *
     * @param array $row
     * @return array It.
     */
    public function store(array $row): array {
        $answers = \local_lrsbridge\store::take([$row]);
        if ($answers[0]['outcome'] === \local_lrsbridge\store::REFUSED) {
            throw new coding_exception($answers[0]['message']);
        }
        return $row;
    }

    /**
     * The public id of a learner.
     *
     * @param stdClass|null $user
     * @return string
     */
    private function learner(?stdClass $user): string {
        return $user ? 'learner' . $user->id : 'stranger';
    }
}
