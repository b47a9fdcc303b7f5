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
 * Reads rows for the pages: only those that the viewer may see.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class records {
    /** @var visibility */
    private $visibility;

    /**
     * As somebody sees them.
     *
     * @param visibility $visibility
     */
    public function __construct(visibility $visibility) {
        $this->visibility = $visibility;
    }

    /**
     * Whose eyes these are.
     *
     * @return visibility
     */
    public function visibility(): visibility {
        return $this->visibility;
    }

    /**
     * Whether there is anything about a user that may be seen.
     *
     * @param int $userid
     * @return bool
     */
    public function has_user(int $userid): bool {
        foreach (feed::about_people() as $feed) {
            if ($this->of_users($feed->name, [$userid], 0, 1)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Rows of a feed about these users.
     *
     * @param string $feed
     * @param int[] $users
     * @param int $from
     * @param int $limit 0 gives all.
     * @return \stdClass[]
     */
    public function of_users(string $feed, array $users, int $from = 0, int $limit = 0): array {
        global $DB;

        if (!$users) {
            return [];
        }
        [$in, $params] = $DB->get_in_or_equal($users, SQL_PARAMS_NAMED, 'whom');
        return $this->select($feed, "r.userid {$in}", $params, $from, $limit);
    }

    /**
     * Records of a course's learners, in the programs that it belongs to.
     *
     * @param int $courseid
     * @param int $from
     * @param int $limit
     * @return array The rows, and how many there are in all.
     */
    public function of_course(int $courseid, int $from, int $limit): array {
        global $DB;

        // One who leads people elsewhere, or sees all, sees them on this page only if they are in the course.
        [$enrolled, $params] = get_enrolled_sql(\context_course::instance($courseid), '', 0, true);
        $where = "r.userid IN ({$enrolled})
              AND r.program IN (SELECT l.program FROM {local_lrsbridge_course} l WHERE l.courseid = :ofcourse)";
        $params['ofcourse'] = $courseid;
        return [$this->select('records', $where, $params, $from, $limit), $this->count('records', $where, $params)];
    }

    /**
     * Records of those whom the viewer leads.
     *
     * @param int $from
     * @param int $limit
     * @return array The rows, and how many there are in all.
     */
    public function of_team(int $from, int $limit): array {
        global $DB;

        $team = $this->visibility->team();
        if (!$team) {
            return [[], 0];
        }
        [$in, $params] = $DB->get_in_or_equal($team, SQL_PARAMS_NAMED, 'team');
        $where = "r.userid {$in}";
        return [$this->select('records', $where, $params, $from, $limit), $this->count('records', $where, $params)];
    }

    /**
     * Main results of the programs that a course belongs to.
     *
     * @param int $courseid
     * @return \stdClass[]
     */
    public function impacts_of_course(int $courseid): array {
        global $DB;

        [$visible, $params] = $this->visibility->of_programs('i');
        return array_values($DB->get_records_sql(
            "SELECT i.*
               FROM {local_lrsbridge_impact} i
              WHERE i.deleted = 0 AND i.isprimary = 1 AND {$visible}
                AND i.program IN (SELECT l.program FROM {local_lrsbridge_course} l WHERE l.courseid = :ofcourse)
           ORDER BY i.programtitle, i.metrictitle, i.horizon, i.id",
            $params + ['ofcourse' => $courseid]
        ));
    }

    /**
     * Rows of a feed about people, with the names of these.
     *
     * @param string $feed
     * @param string $where
     * @param array $params
     * @param int $from
     * @param int $limit
     * @return \stdClass[]
     */
    private function select(string $feed, string $where, array $params, int $from, int $limit): array {
        global $DB;

        [$sql, $params] = $this->sql($feed, $where, $params);
        $names = \core_user\fields::for_name()->get_sql('u', false, 'user')->selects;
        $orders = ['readiness' => 'r.skilltitle', 'measures' => 'r.programtitle, r.metrictitle', 'records' => 'r.programtitle'];
        return array_values($DB->get_records_sql(
            "SELECT r.*{$names} {$sql} ORDER BY u.lastname, u.firstname, u.id, {$orders[$feed]}, r.id",
            $params,
            $from,
            $limit
        ));
    }

    /**
     * How many rows there are.
     *
     * @param string $feed
     * @param string $where
     * @param array $params
     * @return int
     */
    private function count(string $feed, string $where, array $params): int {
        global $DB;

        [$sql, $params] = $this->sql($feed, $where, $params);
        return $DB->count_records_sql("SELECT COUNT(1) {$sql}", $params);
    }

    /**
     * What follows the list of columns.
     *
     * @param string $feed
     * @param string $where
     * @param array $params
     * @return array
     */
    private function sql(string $feed, string $where, array $params): array {
        [$visible, $more] = $this->visibility->of_people('r');
        $table = feed::get($feed)->table;
        return [
            "FROM {" . $table . "} r
               JOIN {user} u ON u.id = r.userid AND u.deleted = 0
              WHERE r.deleted = 0 AND {$visible} AND {$where}",
            $params + $more,
        ];
    }
}
