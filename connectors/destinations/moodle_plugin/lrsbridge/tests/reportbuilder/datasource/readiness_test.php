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
 * Custom reports of readiness.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\reportbuilder\datasource\readiness
 * @covers     \local_lrsbridge\reportbuilder\local\entities\rows
 * @covers     \local_lrsbridge\reportbuilder\local\entities\readiness
 */
final class readiness_test extends core_reportbuilder_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $generator = $this->getDataGenerator();
        $ada = $generator->create_user(['firstname' => 'Ada', 'lastname' => 'Abel']);
        $course = $generator->create_course();
        $generator->enrol_user($ada->id, $course->id, 'student');
        $this->rows->create_record($ada, 'sales', [$course->id]);
        $this->rows->create_about('readiness', $ada, 'sales/objections', [
            'skill' => 'objections', 'skill_title' => 'Objections', 'program' => 'sales', 'level' => 0.4, 'state' => 'not yet',
            'evidence' => 5.5, 'last_evidence_at' => '2026-11-01T00:00:00Z', 'next_practice' => 'Role play.',
        ]);
    }

    public function test_a_new_report_shows_what_was_sent(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => readiness::class, 'default' => 1]);

        $content = $this->get_custom_report_content($report->get('id'));

        $this->assertCount(1, $content);
        $shown = array_map('strip_tags', array_map('strval', array_values($content[0])));
        foreach (['Ada Abel', 'Objections', 'not yet', '40', 'Role play.'] as $text) {
            $this->assertContains($text, $shown);
        }
    }

    public function test_stress(): void {
        $this->datasource_stress_test_columns(readiness::class);
        $this->datasource_stress_test_columns_aggregation(readiness::class);
        $this->datasource_stress_test_conditions(readiness::class, 'readiness:skill');
    }
}
