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

use core_reportbuilder\local\helpers\schedule as helper;
use core_reportbuilder\local\models\schedule as schedule_model;
use core_reportbuilder_testcase;
use local_lrsbridge\reportbuilder\datasource\health;
use local_lrsbridge\reportbuilder\datasource\impacts;
use local_lrsbridge\reportbuilder\datasource\readiness;
use local_lrsbridge\reportbuilder\datasource\records as source;

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once("{$CFG->dirroot}/reportbuilder/tests/helpers.php");

/**
 * Who sees whose rows, tried from both sides: in custom reports, in their schedules, and on the pages.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\visibility
 * @covers     \local_lrsbridge\records
 * @covers     \local_lrsbridge\reportbuilder\datasource\records
 * @covers     \local_lrsbridge\reportbuilder\datasource\readiness
 * @covers     \local_lrsbridge\reportbuilder\datasource\impacts
 * @covers     \local_lrsbridge\reportbuilder\datasource\health
 */
final class visibility_test extends core_reportbuilder_testcase {
    /** @var \stdClass[] */
    private $users = [];

    /** @var \stdClass[] */
    private $courses = [];

    /** @var int Role of a line manager, given in the user context of those who are led. */
    private $leader;

    /**
     * Two courses of one program, a third of another; learners in them, and one in none; a teacher of the first; a
     * leader of Bob.
     */
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $generator = $this->getDataGenerator();
        $rows = $generator->get_plugin_generator('local_lrsbridge');
        foreach (['one', 'two', 'other'] as $name) {
            $this->courses[$name] = $generator->create_course(['shortname' => $name]);
        }
        foreach (['ada', 'bob', 'cem', 'dora', 'teacher', 'leader', 'stranger', 'manager'] as $name) {
            $this->users[$name] = $generator->create_user(['username' => $name, 'firstname' => $name]);
        }
        $enrolments = [['ada', 'one', 'student'], ['bob', 'two', 'student'], ['cem', 'one', 'student'], ['cem', 'other', 'student'],
            ['teacher', 'one', 'editingteacher'], ['teacher', 'other', 'student']];
        foreach ($enrolments as [$user, $course, $role]) {
            $generator->enrol_user($this->users[$user]->id, $this->courses[$course]->id, $role);
        }
        $this->leader = $generator->create_role(['shortname' => 'leader']);
        assign_capability('local/lrsbridge:viewteam', CAP_ALLOW, $this->leader, \context_system::instance());
        role_assign($this->leader, $this->users['leader']->id, \context_user::instance($this->users['bob']->id));
        $generator->role_assign('manager', $this->users['manager']->id);

        $sales = [$this->courses['one']->id, $this->courses['two']->id];
        foreach (['ada', 'bob', 'cem', 'dora', 'teacher'] as $name) {
            $user = $this->users[$name];
            $rows->create_record($user, 'sales', $sales);
            $rows->create_about('readiness', $user, 'objections', ['skill' => 'objections', 'program' => 'sales']);
        }
        foreach (['cem', 'teacher'] as $name) {
            $rows->create_record($this->users[$name], 'service', [$this->courses['other']->id]);
        }
        $rows->create_record(null, 'sales', $sales);
        foreach (['sales', 'service', 'nowhere'] as $program) {
            $rows->store($rows->row('impacts', "{$program}/won", ['program' => $program, 'metric' => 'won', 'primary' => true]));
        }
        $rows->store($rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm']));
    }

    /**
     * What a user sees in a custom report that an admin made, as texts.
     *
     * @param string $viewer
     * @param string $source
     * @param string[] $columns
     * @return string[]
     */
    private function report(string $viewer, string $source, array $columns): array {
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => $source, 'default' => 0]);
        foreach ($columns as $column) {
            $generator->create_column(['reportid' => $report->get('id'), 'uniqueidentifier' => $column]);
        }
        $this->setUser($viewer === 'admin' ? get_admin() : ($viewer === 'guest' ? guest_user() : $this->users[$viewer]));
        $seen = array_map(function (array $row): string {
            return implode(' ', $row);
        }, $this->get_custom_report_content($report->get('id'), 100));
        sort($seen);
        return $seen;
    }

    /**
     * Who looks, and the records that they see.
     *
     * @return array[]
     */
    public static function viewers(): array {
        $all = [' sales', 'ada sales', 'bob sales', 'cem sales', 'cem service', 'dora sales', 'teacher sales', 'teacher service'];
        return [
            'admin: all, those of nobody too' => ['admin', $all],
            'manager of the site: all' => ['manager', $all],
            'teacher: learners of the own course in its program, and the own records' =>
                ['teacher', ['ada sales', 'cem sales', 'teacher sales', 'teacher service']],
            'leader: those led' => ['leader', ['bob sales']],
            'learner: the own ones' => ['cem', ['cem sales', 'cem service']],
            'somebody without a record: none' => ['stranger', []],
            'guest: none' => ['guest', []],
        ];
    }

    /**
     * Custom reports show what the one who opens them may see.
     *
     * @dataProvider viewers
     * @param string $viewer
     * @param string[] $expected
     */
    public function test_custom_reports_show_whom_the_viewer_may_see(string $viewer, array $expected): void {
        $this->assertSame($expected, $this->report($viewer, source::class, ['user:firstname', 'record:program']));
    }

    /**
     * The same holds for readiness, where there is one row of each learner.
     *
     * @dataProvider viewers
     * @param string $viewer
     * @param string[] $expected
     */
    public function test_readiness_shows_the_same_people(string $viewer, array $expected): void {
        $expected = array_values(array_filter(preg_replace('/^( sales|\w+ service)$/', '', $expected)));

        $seen = $this->report($viewer, readiness::class, ['user:firstname', 'readiness:program']);

        $this->assertSame($expected, $seen);
    }

    /**
     * Who looks, and the programs whose results they see.
     *
     * @return array[]
     */
    public static function viewers_of_results(): array {
        return [
            'admin' => ['admin', ['nowhere', 'sales', 'service']],
            'teacher: programs of the own course' => ['teacher', ['sales']],
            'leader: programs of those led' => ['leader', ['sales']],
            'learner: none' => ['cem', []],
            'guest: none' => ['guest', []],
        ];
    }

    /**
     * Results are for those who may see others' records in the program.
     *
     * @dataProvider viewers_of_results
     * @param string $viewer
     * @param string[] $expected
     */
    public function test_results_are_seen_by_those_who_see_others_records(string $viewer, array $expected): void {
        $this->assertSame($expected, $this->report($viewer, impacts::class, ['impact:program']));
    }

    public function test_health_is_for_those_who_see_all(): void {
        $this->assertSame(['crm'], $this->report('admin', health::class, ['health:name']));
        $this->assertSame(['crm'], $this->report('manager', health::class, ['health:name']));
        foreach (['teacher', 'leader', 'ada', 'guest'] as $viewer) {
            $this->assertSame([], $this->report($viewer, health::class, ['health:name']));
        }
    }

    public function test_counting_and_totals_show_no_more_than_the_rows(): void {
        $this->report('ada', source::class, ['record:program']);
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Count', 'source' => source::class, 'default' => 0]);
        $generator->create_column(
            ['reportid' => $report->get('id'), 'uniqueidentifier' => 'record:program', 'aggregation' => 'count']
        );

        $this->setUser($this->users['ada']);

        $this->assertEquals([['1']], array_map('array_values', $this->get_custom_report_content($report->get('id'))));
    }

    public function test_choices_of_a_filter_are_those_of_rows_that_are_seen(): void {
        $rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $rows->create_record($this->users['dora'], 'secret', [], ['team' => 'Secret team']);
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $this->setAdminUser();
        $report = $generator->create_report(['name' => 'Test', 'source' => source::class, 'default' => 1]);
        $choices = function () use ($report): array {
            $instance = \core_reportbuilder\manager::get_report_from_id($report->get('id'));
            return array_keys($instance->get_filter('record:team')->get_options());
        };

        $this->assertSame(['North', 'Secret team'], $choices());
        $this->setUser($this->users['teacher']);
        $this->assertSame(['North'], $choices());
    }

    /**
     * Who a schedule is viewed as, whether there is anything to send, and what is in the file.
     *
     * @return array[]
     */
    public static function schedules(): array {
        return [
            'its creator, an admin' => ['creator', 8],
            'its recipient, a learner' => ['recipient', 1],
            'a teacher' => ['teacher', 4],
            'somebody without a record' => ['stranger', 0],
        ];
    }

    /**
     * A schedule sends what the one that it is viewed as may see; here it is told to send nothing when that is nothing.
     *
     * @dataProvider schedules
     * @param string $viewas
     * @param int $expected
     */
    public function test_a_schedule_shows_what_the_one_it_is_viewed_as_may_see(string $viewas, int $expected): void {
        $this->preventResetByRollback();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => source::class, 'default' => 0]);
        $generator->create_column(['reportid' => $report->get('id'), 'uniqueidentifier' => 'record:program']);
        $audience = $generator->create_audience([
            'reportid' => $report->get('id'),
            'classname' => \core_reportbuilder\reportbuilder\audience\manual::class,
            'configdata' => ['users' => [$this->users['ada']->id]],
        ]);
        $special = ['creator' => schedule_model::REPORT_VIEWAS_CREATOR, 'recipient' => schedule_model::REPORT_VIEWAS_RECIPIENT];
        $schedule = $generator->create_schedule([
            'reportid' => $report->get('id'),
            'name' => 'Test',
            'format' => 'csv',
            'userviewas' => $special[$viewas] ?? (int) $this->users[$viewas]->id,
            'reportempty' => schedule_model::REPORT_EMPTY_DONT_SEND,
            'audiences' => json_encode([$audience->get_persistent()->get('id')]),
        ]);

        $sink = $this->redirectMessages();
        $task = new \core_reportbuilder\task\send_schedule();
        $task->set_custom_data(['reportid' => $report->get('id'), 'scheduleid' => $schedule->get('id')]);
        $this->expectOutputRegex('/Sending schedule/');
        $task->execute();

        $this->assertCount($expected ? 1 : 0, $sink->get_messages());
        $this->setUser(['creator' => get_admin(), 'recipient' => $this->users['ada']][$viewas] ?? $this->users[$viewas]);
        $lines = explode("\n", trim(helper::get_schedule_report_file($schedule)->get_content()));
        $this->assertCount(1 + $expected, $lines);
    }

    public function test_teachers_of_separate_groups_see_their_own(): void {
        global $DB;

        $generator = $this->getDataGenerator();
        $course = $this->courses['one'];
        $DB->set_field('course', 'groupmode', SEPARATEGROUPS, ['id' => $course->id]);
        rebuild_course_cache($course->id, true);
        $generator->enrol_user($this->users['leader']->id, $course->id, 'teacher');
        $group = $generator->create_group(['courseid' => $course->id]);
        $elsewhere = $generator->create_group(['courseid' => $this->courses['two']->id]);
        $generator->enrol_user($this->users['leader']->id, $this->courses['two']->id, 'student');
        foreach (['leader', 'ada'] as $member) {
            $generator->create_group_member(['groupid' => $group->id, 'userid' => $this->users[$member]->id]);
        }
        foreach (['leader', 'bob'] as $member) {
            $generator->create_group_member(['groupid' => $elsewhere->id, 'userid' => $this->users[$member]->id]);
        }
        role_unassign_all(['userid' => $this->users['leader']->id, 'contextid' =>
            \context_user::instance($this->users['bob']->id)->id]);

        // The non-editing teacher may not see all groups; the editing one may.
        $seen = $this->report('leader', source::class, ['user:firstname', 'record:program']);
        $this->assertSame(['ada sales'], $seen);
        $seen = $this->report('teacher', source::class, ['user:firstname']);
        $this->assertSame(['ada', 'cem', 'teacher', 'teacher'], $seen);
    }

    public function test_learners_who_are_suspended_or_out_of_time_are_seen_no_more(): void {
        global $DB;

        $enrolment = function (string $user): array {
            global $DB;
            return ['id' => $DB->get_field_sql(
                'SELECT uenr.id
                   FROM {user_enrolments} uenr
                   JOIN {enrol} e ON e.id = uenr.enrolid
                  WHERE uenr.userid = ? AND e.courseid = ?',
                [$this->users[$user]->id, $this->courses['one']->id]
            )];
        };
        $DB->set_field('user_enrolments', 'status', ENROL_USER_SUSPENDED, $enrolment('ada'));
        $DB->set_field('user_enrolments', 'timeend', time() - DAYSECS, $enrolment('cem'));

        $seen = $this->report('teacher', source::class, ['user:firstname']);

        $this->assertSame(['teacher', 'teacher'], $seen);
    }

    public function test_a_teacher_whose_capability_is_taken_sees_nobody_else(): void {
        global $DB;

        $role = $DB->get_field('role', 'id', ['shortname' => 'editingteacher']);
        $context = \context_course::instance($this->courses['one']->id);
        assign_capability('local/lrsbridge:viewcourse', CAP_PROHIBIT, $role, $context->id);

        $this->assertSame(['teacher', 'teacher'], $this->report('teacher', source::class, ['user:firstname']));
    }

    public function test_a_learner_whose_capability_is_taken_sees_nothing(): void {
        global $CFG;

        assign_capability('local/lrsbridge:viewown', CAP_PROHIBIT, $CFG->defaultuserroleid, \context_system::instance(), true);

        $this->assertSame([], $this->report('ada', source::class, ['user:firstname']));
    }

    public function test_a_role_in_a_user_context_without_the_capability_shows_nothing(): void {
        $other = $this->getDataGenerator()->create_role(['shortname' => 'friend']);
        role_assign($other, $this->users['stranger']->id, \context_user::instance($this->users['bob']->id));

        $this->assertSame([], $this->report('stranger', source::class, ['user:firstname']));
    }

    public function test_pages_show_what_reports_show(): void {
        foreach (self::viewers() as [$viewer, $expected]) {
            $this->setUser($viewer === 'admin' ? get_admin() : ($viewer === 'guest' ? guest_user() : $this->users[$viewer]));
            $records = new records(new visibility());
            $seen = array_map(function (\stdClass $row): string {
                return $row->userfirstname . ' ' . $row->program;
            }, $records->of_users('records', array_column($this->users, 'id')));
            sort($seen);
            $this->assertSame(array_values(array_diff($expected, [' sales'])), $seen, $viewer);
        }
    }

    public function test_the_page_of_a_course_shows_its_learners_in_its_programs(): void {
        $seen = function (string $viewer, string $course): array {
            $this->setUser($this->users[$viewer]);
            [$rows, $count] = (new records(new visibility()))->of_course((int) $this->courses[$course]->id, 0, 10);
            $this->assertCount($count, $rows);
            return array_column($rows, 'userfirstname');
        };

        $this->assertSame(['ada', 'cem', 'teacher'], array_values(array_unique($seen('teacher', 'one'))));
        $this->assertSame([], $seen('teacher', 'two'));
        $this->assertSame(['teacher'], $seen('teacher', 'other'));
        $this->assertSame(['ada', 'cem', 'teacher'], $seen('manager', 'one'));
        $this->assertSame([], $seen('stranger', 'one'));
        $this->setUser($this->users['teacher']);
        $this->assertTrue((new visibility())->sees_course((int) $this->courses['one']->id));
        $this->assertFalse((new visibility())->sees_course((int) $this->courses['two']->id));
        $this->assertFalse((new visibility())->sees_course((int) $this->courses['other']->id));
    }
}
