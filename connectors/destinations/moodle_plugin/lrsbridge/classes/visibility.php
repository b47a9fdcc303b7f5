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
 * Whose rows a user may see: the one place that decides it, for pages and for custom reports alike.
 *
 * - `viewall`: everybody's.
 * - `viewown`: one's own.
 * - `viewteam`: those of users in whose user context one has a role with it, as mentors and line managers have.
 * - `viewcourse`: in a course that belongs to a program, those of its learners (active enrolments), in that program;
 *   where groups are
 *   separate and one may not see all, those in one's own groups.
 *
 * Rows without a user are seen with `viewall` only. Results of a program are about nobody; they are seen by those who
 * may see records
 * of others in it.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class visibility {
    /** @var int Who looks. */
    private $viewer;

    /** @var bool */
    private $all;

    /** @var int[]|null Users whom the viewer leads. */
    private $team = null;

    /** @var array|null Ids of courses whose learners the viewer may see: all of them, those of the viewer's groups. */
    private $courses = null;

    /**
     * As one user sees it.
     *
     * @param int|null $viewer The user at work, if not given.
     */
    public function __construct(?int $viewer = null) {
        global $USER;

        $this->viewer = $viewer ?? (int) $USER->id;
        $this->all = self::allows('local/lrsbridge:viewall', \context_system::instance(), $this->viewer);
    }

    /**
     * Whether everything may be seen.
     *
     * @return bool
     */
    public function sees_all(): bool {
        return $this->all;
    }

    /**
     * The condition that holds for rows of people that may be seen.
     *
     * @param string $alias Of a table of {@see feed::about_people}.
     * @return array SQL and its parameters.
     */
    public function of_people(string $alias): array {
        global $DB;

        if ($this->all) {
            return ['1 = 1', []];
        }
        $ways = [];
        $params = [];
        $users = $this->team();
        if (self::allows('local/lrsbridge:viewown', \context_system::instance(), $this->viewer)) {
            $users[] = $this->viewer;
        }
        if ($users) {
            [$in, $params] = $DB->get_in_or_equal($users, SQL_PARAMS_NAMED, self::prefix());
            $ways[] = "{$alias}.userid {$in}";
        }
        [$whole, $groups] = $this->courses();
        if ($whole) {
            [$sql, $more] = $this->learners($alias, $whole, false);
            $ways[] = $sql;
            $params += $more;
        }
        if ($groups) {
            [$sql, $more] = $this->learners($alias, $groups, true);
            $ways[] = $sql;
            $params += $more;
        }
        return $ways ? ['(' . implode(' OR ', $ways) . ')', $params] : ['1 = 0', []];
    }

    /**
     * The condition that holds for results of programs that may be seen.
     *
     * @param string $alias
     * @return array SQL and its parameters.
     */
    public function of_programs(string $alias): array {
        global $DB;

        if ($this->all) {
            return ['1 = 1', []];
        }
        $ways = [];
        $params = [];
        $courses = array_merge(...$this->courses());
        if ($courses) {
            $prefix = self::prefix();
            [$in, $params] = $DB->get_in_or_equal($courses, SQL_PARAMS_NAMED, $prefix);
            $ways[] = "EXISTS (SELECT 1
                                 FROM {local_lrsbridge_course} {$prefix}l
                                WHERE {$prefix}l.program = {$alias}.program AND {$prefix}l.courseid {$in})";
        }
        if ($this->team()) {
            $prefix = self::prefix();
            [$in, $more] = $DB->get_in_or_equal($this->team(), SQL_PARAMS_NAMED, $prefix);
            $ways[] = "EXISTS (SELECT 1
                                 FROM {local_lrsbridge_record} {$prefix}r
                                WHERE {$prefix}r.program = {$alias}.program
                                  AND {$prefix}r.deleted = 0 AND {$prefix}r.userid {$in})";
            $params += $more;
        }
        return $ways ? ['(' . implode(' OR ', $ways) . ')', $params] : ['1 = 0', []];
    }

    /**
     * The condition that holds for rows about the data themselves.
     *
     * @return array SQL and its parameters.
     */
    public function of_health(): array {
        return [$this->all ? '1 = 1' : '1 = 0', []];
    }

    /**
     * Users in whose user context the viewer has a role that lets them see records.
     *
     * @return int[]
     */
    public function team(): array {
        global $DB;

        if ($this->team === null) {
            $this->team = [];
            $users = $DB->get_fieldset_sql(
                "SELECT DISTINCT ctx.instanceid
                   FROM {role_assignments} ra
                   JOIN {context} ctx ON ctx.id = ra.contextid
                   JOIN {user} u ON u.id = ctx.instanceid
                  WHERE ra.userid = :viewer AND ctx.contextlevel = :level AND u.deleted = 0 AND u.id <> :self",
                ['viewer' => $this->viewer, 'level' => CONTEXT_USER, 'self' => $this->viewer]
            );
            foreach ($users as $user) {
                if (self::allows('local/lrsbridge:viewteam', \context_user::instance((int) $user), $this->viewer)) {
                    $this->team[] = (int) $user;
                }
            }
        }
        return $this->team;
    }

    /**
     * Whether the viewer may see learners' records in a course that belongs to a program.
     *
     * @param int $courseid
     * @return bool
     */
    public function sees_course(int $courseid): bool {
        global $DB;

        return $DB->record_exists('local_lrsbridge_course', ['courseid' => $courseid])
            && self::allows('local/lrsbridge:viewcourse', \context_course::instance($courseid), $this->viewer);
    }

    /**
     * Courses of programs whose learners the viewer may see: all of them, and those of whom only the viewer's own
     * groups.
     *
     * @return array Two lists of ids.
     */
    private function courses(): array {
        global $DB;

        if ($this->courses === null) {
            $this->courses = [[], []];
            $courses = $DB->get_records_sql(
                "SELECT c.*
                   FROM {course} c
                  WHERE c.id IN (SELECT l.courseid FROM {local_lrsbridge_course} l)"
            );
            foreach ($courses as $course) {
                $context = \context_course::instance($course->id);
                if (self::allows('local/lrsbridge:viewcourse', $context, $this->viewer)) {
                    $apart = groups_get_course_groupmode($course) == SEPARATEGROUPS
                        && !has_capability('moodle/site:accessallgroups', $context, $this->viewer);
                    $this->courses[$apart ? 1 : 0][] = (int) $course->id;
                }
            }
        }
        return $this->courses;
    }

    /**
     * The condition that holds for rows of learners of courses, in the programs of these courses.
     *
     * @param string $alias
     * @param int[] $courses
     * @param bool $groups Only those who are in a group with the viewer.
     * @return array SQL and its parameters.
     */
    private function learners(string $alias, array $courses, bool $groups): array {
        global $DB;

        $p = self::prefix();
        [$in, $params] = $DB->get_in_or_equal($courses, SQL_PARAMS_NAMED, $p);
        $now = (int) floor(time() / 60) * 60;
        $params += [
            "{$p}active" => ENROL_USER_ACTIVE,
            "{$p}enabled" => ENROL_INSTANCE_ENABLED,
            "{$p}begun" => $now + 60,
            "{$p}ended" => $now,
        ];
        $together = '';
        if ($groups) {
            $together = "AND EXISTS (SELECT 1
                                       FROM {groups_members} {$p}gm
                                       JOIN {groups} {$p}g ON {$p}g.id = {$p}gm.groupid AND {$p}g.courseid = {$p}e.courseid
                                       JOIN {groups_members} {$p}me ON {$p}me.groupid = {$p}g.id AND {$p}me.userid = :{$p}me
                                      WHERE {$p}gm.userid = {$p}uenr.userid)";
            $params["{$p}me"] = $this->viewer;
        }
        $sql = "EXISTS (SELECT 1
                          FROM {user_enrolments} {$p}uenr
                          JOIN {enrol} {$p}e ON {$p}e.id = {$p}uenr.enrolid AND {$p}e.status = :{$p}enabled
                          JOIN {local_lrsbridge_course} {$p}l ON {$p}l.courseid = {$p}e.courseid
                         WHERE {$p}uenr.userid = {$alias}.userid AND {$p}l.program = {$alias}.program
                           AND {$p}e.courseid {$in} AND {$p}uenr.status = :{$p}active
                           AND {$p}uenr.timestart < :{$p}begun AND ({$p}uenr.timeend = 0 OR {$p}uenr.timeend > :{$p}ended)
                           {$together})";
        return [$sql, $params];
    }

    /**
     * Whether a user has a capability; while the plugin is being installed nobody has.
     *
     * @param string $capability
     * @param \context $context
     * @param int $user
     * @return bool
     */
    private static function allows(string $capability, \context $context, int $user): bool {
        return get_capability_info($capability) && $user > 0 && !isguestuser($user)
            && has_capability($capability, $context, $user);
    }

    /**
     * What names of tables and parameters begin with: each time another one, and as custom reports want it.
     *
     * @return string
     */
    private static function prefix(): string {
        return \core_reportbuilder\local\helpers\database::generate_param_name() . 'x';
    }
}
