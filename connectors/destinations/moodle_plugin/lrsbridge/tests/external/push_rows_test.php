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

use core_external\external_api;
use local_lrsbridge\store;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../classes/external/compat.php');

/**
 * Rows that are pushed.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\external\push_rows
 * @covers     \local_lrsbridge\store
 * @covers     \local_lrsbridge\feed
 */
final class push_rows_test extends \advanced_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
    }

    /**
     * Push rows as the web service does.
     *
     * @param array $rows
     * @return array Answers.
     */
    private function push(array $rows): array {
        $answer = external_api::clean_returnvalue(push_rows::execute_returns(), push_rows::execute(json_encode($rows)));
        $this->assertSame(count($rows), $answer['received']);
        return $answer['answers'];
    }

    public function test_rows_of_every_feed_are_stored_as_they_were_sent(): void {
        global $DB;

        $user = $this->getDataGenerator()->create_user();
        $course = $this->getDataGenerator()->create_course();
        $this->push([
            $this->rows->row('records', 'a1/sales', [
                'program' => 'sales', 'program_title' => 'Sales', 'team' => 'North', 'role' => 'Rep',
                'enrolled_at' => '2026-10-05T08:00:00Z', 'completed_at' => '2026-10-06T10:00:00.250+02:00', 'attempts' => 3,
                'best_score' => 0.83333333, 'last_activity_at' => null, 'remembered_score' => 0.5, 'highest_tier' => 5,
                'highest_tier_name' => 'Decision making', 'uses_before' => 2, 'rate_before' => 0.25, 'uses_since' => 8,
                'rate_since' => 0.75, 'days_to_first' => 1.5, 'match' => 'declared', 'next_practice' => 'Ask for the date.',
                'url' => 'https://bridge.example/records/a1',
                'courses' => [(new \moodle_url('/course/view.php', ['id' => $course->id]))->out(false)],
            ], $user),
            $this->rows->row('measures', 'a1/sales/won', [
                'program' => 'sales', 'metric' => 'won', 'before_mean' => -0.5, 'before_count' => 4,
            ], $user),
            $this->rows->row('impacts', 'sales/won/weeks 1-12', ['program' => 'sales', 'metric' => 'won', 'estimate' => null,
                'verdict' => 'not enough evidence', 'refusals' => ['R1', 'R7'], 'next_look' => '2027-01-31', 'primary' => true]),
            $this->rows->row('readiness', 'a1/objections', ['skill' => 'objections', 'level' => null, 'state' => 'unknown'], $user),
            $this->rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm', 'state' => 'ok', 'rows' => 12]),
        ]);

        $record = $DB->get_record('local_lrsbridge_record', ['rowkey' => 'a1/sales']);
        $this->assertEquals($user->id, $record->userid);
        $this->assertSame('a1', $record->learner);
        $this->assertEquals(strtotime('2026-10-06T08:00:00Z'), $record->completedat);
        $this->assertEquals(0.833333, (float) $record->bestscore);
        $this->assertNull($record->lastactivityat);
        $this->assertSame('Ask for the date.', $record->nextpractice);
        $courses = $DB->get_fieldset_select('local_lrsbridge_course', 'courseid', 'program = ?', ['sales']);
        $this->assertEquals([$course->id], $courses);
        $this->assertEquals(-0.5, (float) $DB->get_field('local_lrsbridge_measure', 'beforemean', []));
        $impact = $DB->get_record('local_lrsbridge_impact', []);
        $this->assertNull($impact->estimate);
        $this->assertSame("R1\nR7", $impact->refusals);
        $this->assertSame('2027-01-31', gmdate('Y-m-d', $impact->nextlook));
        $this->assertSame('unknown', $DB->get_field('local_lrsbridge_readiness', 'readystate', []));
        $this->assertEquals(12, $DB->get_field('local_lrsbridge_health', 'itemcount', []));
    }

    public function test_six_hundred_rows_fit_into_one_call(): void {
        global $DB;

        $user = $this->getDataGenerator()->create_user();
        $rows = [];
        for ($i = 0; $i < 600; $i++) {
            $rows[] = $this->rows->row('records', "a{$i}/sales", ['program' => 'sales', 'attempts' => $i], $user);
        }

        $answers = $this->push($rows);

        $this->assertSame(array_column($rows, 'key'), array_column($answers, 'key'));
        $this->assertSame(['stored'], array_values(array_unique(array_column($answers, 'outcome'))));
        $this->assertEquals(600, $DB->count_records('local_lrsbridge_record'));
        $this->assertEquals(array_sum(range(0, 599)), $DB->get_field_sql('SELECT SUM(attempts) FROM {local_lrsbridge_record}'));
    }

    public function test_more_rows_than_fit_are_refused_whole(): void {
        global $DB;

        $rows = array_fill(0, store::MOST + 1, $this->rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm']));

        try {
            push_rows::execute(json_encode($rows));
            $this->fail('Too many rows were taken');
        } catch (\invalid_parameter_exception $e) {
            $this->assertStringContainsString('At most 1000 rows', $e->debuginfo);
        }
        $this->assertEquals(0, $DB->count_records('local_lrsbridge_health'));
    }

    /**
     * Texts that are no list of rows.
     *
     * @return array[]
     */
    public static function no_lists(): array {
        return [['{"rows": []}'], ['[{"key": '], [''], ['"rows"'], ["[\"\xff\"]"]];
    }

    /**
     * What is no JSON list is an error of the whole call.
     *
     * @dataProvider no_lists
     * @param string $text
     */
    public function test_what_is_no_json_list_is_refused(string $text): void {
        $this->expectException(\invalid_parameter_exception::class);
        push_rows::execute($text);
    }

    public function test_a_row_that_comes_again_changes_nothing(): void {
        global $DB;

        $user = $this->getDataGenerator()->create_user();
        $row = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 1], $user);
        $this->push([$row]);
        $before = $DB->get_record('local_lrsbridge_record', []);

        $answers = $this->push([$row, $row]);

        $this->assertSame(['unchanged', 'unchanged'], array_column($answers, 'outcome'));
        $this->assertEquals($before, $DB->get_record('local_lrsbridge_record', []));
    }

    public function test_the_highest_version_stands_in_whatever_order_they_come(): void {
        global $DB;

        $user = $this->getDataGenerator()->create_user();
        $first = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 1], $user);
        $second = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 2], $user);
        $third = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 3], $user);

        $this->assertSame(['stored', 'unchanged', 'stored'], array_column($this->push([$second, $first, $third]), 'outcome'));
        $this->assertSame(['unchanged'], array_column($this->push([$second]), 'outcome'));

        $this->assertEquals(3, $DB->get_field('local_lrsbridge_record', 'attempts', []));
    }

    public function test_what_is_deleted_leaves_nothing_of_the_person_and_does_not_come_back_by_an_older_version(): void {
        global $DB;

        $user = $this->getDataGenerator()->create_user();
        $old = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'team' => 'North'], $user);
        $gone = $this->rows->row('records', 'a1/sales', [], null, ['deleted' => true]);
        $new = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'team' => 'South'], $user);
        $this->push([$old]);

        $this->assertSame(['deleted', 'deleted', 'unchanged'], array_column($this->push([$gone, $gone, $old]), 'outcome'));

        $row = $DB->get_record('local_lrsbridge_record', []);
        $this->assertEquals(1, $row->deleted);
        $this->assertNull($row->userid);
        $this->assertNull($row->userdata);
        $this->assertNull($row->team);
        $this->assertSame(['stored'], array_column($this->push([$new]), 'outcome'));
        $this->assertSame('South', $DB->get_field('local_lrsbridge_record', 'team', ['deleted' => 0]));
    }

    public function test_a_deletion_that_comes_before_its_row_holds(): void {
        global $DB;

        $old = $this->rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm']);
        $gone = $this->rows->row('health', 'source/crm', [], null, ['deleted' => true]);

        $this->assertSame(['deleted', 'unchanged'], array_column($this->push([$gone, $old]), 'outcome'));
        $this->assertEquals(0, $DB->count_records('local_lrsbridge_health', ['deleted' => 0]));
    }

    public function test_a_row_about_nobody_here_is_stored_and_said_to_be_unmatched(): void {
        global $DB;

        $user = ['accounts' => [], 'emails' => ['nobody@example.com'], 'idnumber' => null, 'username' => null, 'name' => 'Nobody'];
        $row = $this->rows->row('records', 'a1/sales', ['program' => 'sales'], $user);

        $this->assertSame(['unmatched', 'unmatched'], array_column($this->push([$row, $row]), 'outcome'));
        $this->assertNull($DB->get_field('local_lrsbridge_record', 'userid', []));

        // Sent again after the user came, it finds them.
        $known = $this->getDataGenerator()->create_user(['email' => 'Nobody@Example.com']);
        $this->assertSame(['stored', 'unchanged'], array_column($this->push([$row, $row]), 'outcome'));
        $this->assertEquals($known->id, $DB->get_field('local_lrsbridge_record', 'userid', []));
    }

    /**
     * Rows that cannot be stored, and words of the reason.
     *
     * @return array[]
     */
    public static function unfit(): array {
        return [
            'no object' => ['text', 'no row'],
            'no feed' => [['feed' => null], 'no such feed'],
            'unknown feed' => [['feed' => 'wages'], 'no such feed'],
            'no key' => [['key' => null], 'key'],
            'empty key' => [['key' => ''], 'key'],
            'longest key and one more' => [['key' => str_repeat('k', 191)], '190'],
            'key beyond ASCII' => [['key' => 'schlüssel'], 'ASCII'],
            'key that ends with a line' => [['key' => "a1/sales\n"], 'ASCII'],
            'version as text' => [['version' => '7'], 'version'],
            'version 0' => [['version' => 0], 'version'],
            'short checksum' => [['checksum' => 'abc'], 'checksum'],
            'body as text' => [['body' => 'sales'], 'body'],
            'user as text' => [['user' => 'ada'], 'user'],
            'number as text' => [['body' => ['program' => 'sales', 'attempts' => 'many']], 'attempts'],
            'number beyond the column' => [['body' => ['program' => 'sales', 'best_score' => 1e14]], 'best_score'],
            'tier beyond the column' => [['body' => ['program' => 'sales', 'highest_tier' => 40000]], 'highest_tier'],
            'list for a text' => [['body' => ['program' => ['sales']]], 'program'],
            'time that is none' => [['body' => ['program' => 'sales', 'completed_at' => 'yesterday']], 'completed_at'],
            'time that there is not' => [
                ['body' => ['program' => 'sales', 'completed_at' => '2026-13-45T00:00:00Z']],
                'completed_at',
            ],
            'program too long' => [['body' => ['program' => str_repeat('p', 191)]], '190'],
        ];
    }

    /**
     * A row that cannot be stored is refused with the reason, and does not stop the others.
     *
     * @dataProvider unfit
     * @param array|string $change
     * @param string $reason
     */
    public function test_a_row_that_cannot_be_stored_is_refused_and_stops_no_other($change, string $reason): void {
        global $DB;

        $row = $this->rows->row('records', 'a1/sales', ['program' => 'sales']);
        $good = $this->rows->row('records', 'a2/sales', ['program' => 'sales']);

        $answers = $this->push([is_array($change) ? $change + $row : $change, $good]);

        $this->assertSame('refused', $answers[0]['outcome']);
        $this->assertStringContainsString($reason, $answers[0]['message']);
        $this->assertSame('unmatched', $answers[1]['outcome']);
        $this->assertEquals(1, $DB->count_records('local_lrsbridge_record'));
        $exchange = $DB->get_record('local_lrsbridge_exchange', ['feed' => 'records']);
        if ($exchange->received == 2) {
            $this->assertEquals(1, $exchange->refused);
            $this->assertStringContainsString($reason, $exchange->problem);
        }
    }

    public function test_texts_are_kept_whatever_characters_they_have(): void {
        global $DB;

        $text = "Zoë & <script>alert('x')</script> \u{1F600} \\ \" ' % _";
        $body = ['program' => 'sales', 'team' => $text, 'next_practice' => "{$text}\u{0}", 'program_title' => str_repeat('ü', 300)];
        $this->push([$this->rows->row('records', 'a1/sales', $body)]);

        $row = $DB->get_record('local_lrsbridge_record', []);
        $this->assertSame($text, $row->team);
        $this->assertSame($text, $row->nextpractice);
        $this->assertSame(str_repeat('ü', 254) . '…', $row->programtitle);
    }

    public function test_courses_of_a_program_follow_its_latest_records(): void {
        global $CFG, $DB;

        $course = $this->getDataGenerator()->create_course();
        $other = $this->getDataGenerator()->create_course();
        $page = $this->getDataGenerator()->create_module('page', ['course' => $other->id]);
        $courses = function (array $iris): array {
            global $DB;
            $this->push([$this->rows->row('records', 'a1/sales', ['program' => 'sales', 'courses' => $iris])]);
            $ids = array_map('intval', $DB->get_fieldset_select('local_lrsbridge_course', 'courseid', 'program = ?', ['sales']));
            sort($ids);
            return $ids;
        };
        $there = "{$CFG->wwwroot}/course/view.php?id={$course->id}";
        $below = "{$CFG->wwwroot}/mod/page/view.php?id={$page->cmid}";
        $elsewhere = 'https://elsewhere.example/course/view.php?id=1';

        $this->assertSame([(int) $course->id], $courses([$there, $there . '#section-2x', $elsewhere]));
        $this->assertSame([(int) $course->id, (int) $other->id], $courses([$there, $below]));
        $this->assertSame([], $courses([str_replace('www.example.com', 'example.com', $there), 'not an address']));
        $this->assertSame([(int) $course->id], $courses([str_replace('https://', 'http://', $there)]));
        delete_course($course, false);
        $this->assertFalse($DB->record_exists('local_lrsbridge_course', ['courseid' => $course->id]));
    }

    public function test_whoever_lacks_the_capability_is_refused(): void {
        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\required_capability_exception::class);
        push_rows::execute('[]');
    }

    public function test_a_site_that_pulls_takes_no_pushes(): void {
        set_config('mode', 'pull', 'local_lrsbridge');
        $this->expectExceptionMessage('does not take rows that are pushed');
        push_rows::execute('[]');
    }

    public function test_nothing_is_an_answer_to_nothing(): void {
        $this->assertSame([], $this->push([]));
    }
}
