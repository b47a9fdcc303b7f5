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
                'url' => 'https://bridge.example/records/a1', 'courses' => [(new \moodle_url('/course/view.php', ['id' => $course->id]))->out(false)],
            ], $user),
            $this->rows->row('measures', 'a1/sales/won', ['program' => 'sales', 'metric' => 'won', 'before_mean' => -0.5, 'before_count' => 4], $user),
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
        $this->assertEquals([$course->id], $DB->get_fieldset_select('local_lrsbridge_course', 'courseid', 'program = ?', ['sales']));
        $this->assertEquals(-0.5, (float) $DB->get_field('local_lrsbridge_measure', 'beforemean', []));
        $impact = $DB->get_record('local_lrsbridge_impact', []);
        $this->assertNull($impact->estimate);
        $this->assertSame("R1\nR7", $impact->refusals);
        $this->assertSame('2027-01-31', gmdate('Y-m-d', $impact->nextlook));
        $this->assertSame('unknown', $DB->get_field('local_lrsbridge_readiness', 'readystate', []));
        $this->assertEquals(12, $DB->get_field('local_lrsbridge_health', 'itemcount', []));
    }
}
