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
 * Custom reports of what programs changed.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\reportbuilder\datasource\impacts
 * @covers     \local_lrsbridge\reportbuilder\local\entities\rows
 * @covers     \local_lrsbridge\reportbuilder\local\entities\impact
 */
final class impacts_test extends core_reportbuilder_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $course = $this->getDataGenerator()->create_course();
        $this->rows->create_record(null, 'sales', [$course->id]);
        $this->rows->store($this->rows->row('impacts', 'sales/won/weeks-1-12', [
            'program' => 'sales', 'metric' => 'won', 'metric_title' => 'Won', 'horizon' => 'weeks 1-12', 'verdict' => 'better',
            'sentence' => 'Six more in a hundred.', 'estimate' => 6.25, 'refusals' => ['R1', 'R2'], 'next_look' => '2027-01-31',
            'primary' => true, 'people' => 40,
        ]));
    }

    public function test_a_new_report_shows_what_was_sent(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => impacts::class, 'default' => 1]);

        $content = $this->get_custom_report_content($report->get('id'));

        $this->assertCount(1, $content);
        $shown = array_map('strip_tags', array_map('strval', array_values($content[0])));
        foreach (['Won', 'weeks 1-12', 'better', 'Six more in a hundred.', '6.25', '40', '31 January 2027'] as $text) {
            $this->assertContains($text, $shown);
        }
    }

    public function test_stress(): void {
        $this->datasource_stress_test_columns(impacts::class);
        $this->datasource_stress_test_columns_aggregation(impacts::class);
        $this->datasource_stress_test_conditions(impacts::class, 'impact:program');
    }
}
