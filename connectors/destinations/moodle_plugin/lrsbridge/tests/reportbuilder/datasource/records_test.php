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

namespace local_lrsbridge\reportbuilder\datasource;

use core_reportbuilder_testcase;

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once("{$CFG->dirroot}/reportbuilder/tests/helpers.php");

/**
 * Custom reports of learners in programs.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\reportbuilder\datasource\records
 * @covers     \local_lrsbridge\reportbuilder\local\entities\rows
 * @covers     \local_lrsbridge\reportbuilder\local\entities\record
 * @covers     \local_lrsbridge\reportbuilder\local\entities\measure
 */
final class records_test extends core_reportbuilder_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
    }

    /**
     * Make a report of these columns.
     *
     * @param string[] $columns
     * @return int Its id.
     */
    private function report(array $columns): int {
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => records::class, 'default' => 0]);
        foreach ($columns as $place => $column) {
            $generator->create_column([
                'reportid' => $report->get('id'),
                'uniqueidentifier' => $column,
                'sortenabled' => 1,
                'sortorder' => $place + 1,
            ]);
        }
        return (int) $report->get('id');
    }

    public function test_a_new_report_shows_records_with_their_users(): void {
        $ada = $this->getDataGenerator()->create_user(['firstname' => 'Ada', 'lastname' => 'Abel']);
        $this->rows->create_record($ada, 'sales', [], ['best_score' => 0.8333, 'next_practice' => 'Ask <b>again</b>.']);
        $this->rows->create_record(null, 'sales');
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => records::class, 'default' => 1]);

        $content = array_map('array_values', $this->get_custom_report_content($report->get('id')));

        $this->assertCount(2, $content);
        $row = implode('|', $content[0]) . implode('|', $content[1]);
        $this->assertStringContainsString('Ada Abel', $row);
        $this->assertStringContainsString('|83.3|', $row);
        $this->assertStringContainsString('Ask &lt;b&gt;again&lt;/b&gt;.', $row);
    }

    public function test_measures_are_those_of_the_same_learner_and_program(): void {
        $ada = $this->getDataGenerator()->create_user(['firstname' => 'Ada', 'lastname' => 'Abel']);
        $this->rows->create_record($ada, 'sales');
        $this->rows->create_record($ada, 'service');
        $measure = ['program' => 'sales', 'metric' => 'won', 'metric_title' => 'Won', 'before_mean' => 0.25];
        $this->rows->create_about('measures', $ada, 'sales/won', $measure);
        $gone = $this->rows->create_about('measures', $ada, 'sales/lost', ['metric' => 'lost'] + $measure);
        $this->rows->store(['version' => $gone['version'] + 1, 'deleted' => true, 'body' => []] + $gone);

        $content = $this->get_custom_report_content($this->report(['record:program', 'measure:metric', 'measure:beforemean']));

        $this->assertSame([['sales', 'won', '0.25'], ['service', '', '']], array_map('array_values', $content));
    }

    public function test_a_report_can_be_filtered_by_program_team_and_course(): void {
        $generator = $this->getDataGenerator();
        [$ada, $bob] = [$generator->create_user(), $generator->create_user()];
        $course = $generator->create_course();
        $generator->enrol_user($ada->id, $course->id, 'student');
        $this->rows->create_record($ada, 'sales', [$course->id], ['team' => 'North']);
        $this->rows->create_record($bob, 'sales', [$course->id], ['team' => 'South']);
        $this->rows->create_record($bob, 'service', [], ['team' => 'South']);
        $report = $this->report(['record:program', 'record:team']);
        foreach (['record:program', 'record:team', 'course:courseselector'] as $filter) {
            $generator->get_plugin_generator('core_reportbuilder')->create_filter(
                ['reportid' => $report, 'uniqueidentifier' => $filter]
            );
        }
        $see = function (array $filters) use ($report): array {
            return array_map(function (array $row): string {
                return implode('/', $row);
            }, $this->get_custom_report_content($report, 30, $filters));
        };

        $this->assertSame(['sales/North', 'sales/South', 'service/South'], $see([]));
        $sales = ['record:program_operator' => 1, 'record:program_value' => 'sales'];
        $south = ['record:team_operator' => 1, 'record:team_value' => 'South'];
        $this->assertSame(['sales/North', 'sales/South'], $see($sales));
        $this->assertSame(['sales/South', 'service/South'], $see($south));
        $this->assertSame(['sales/South'], $see($sales + $south));
        $this->assertSame(['sales/North'], $see(['course:courseselector_values' => [$course->id]]));
    }

    public function test_rows_that_are_gone_are_not_shown(): void {
        $row = $this->rows->create_record($this->getDataGenerator()->create_user(), 'sales');
        $this->rows->store(['version' => $row['version'] + 1, 'deleted' => true, 'user' => null, 'body' => []] + $row);

        $this->assertSame([], $this->get_custom_report_content($this->report(['record:program'])));
    }

    public function test_stress(): void {
        $generator = $this->getDataGenerator();
        $ada = $generator->create_user();
        $course = $generator->create_course();
        $generator->enrol_user($ada->id, $course->id, 'student');
        $this->rows->create_record($ada, 'sales', [$course->id], ['best_score' => 0.5, 'completed_at' => '2026-11-01T00:00:00Z']);
        $this->rows->create_about('measures', $ada, 'sales/won', ['program' => 'sales', 'metric' => 'won', 'before_mean' => 1]);

        $this->datasource_stress_test_columns(records::class);
        $this->datasource_stress_test_columns_aggregation(records::class);
        $this->datasource_stress_test_conditions(records::class, 'record:program');
    }
}
