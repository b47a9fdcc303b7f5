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
 * Custom reports of the health of the data.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\reportbuilder\datasource\health
 * @covers     \local_lrsbridge\reportbuilder\local\entities\rows
 * @covers     \local_lrsbridge\reportbuilder\local\entities\health
 */
final class health_test extends core_reportbuilder_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $this->rows->store($this->rows->row('health', 'source/crm', [
            'kind' => 'source', 'name' => 'crm', 'title' => 'The CRM', 'state' => 'failing', 'message' => 'It refuses the key.',
            'last_success_at' => '2026-11-20T10:00:00Z', 'lag_seconds' => 7200, 'rows' => 12, 'quarantined' => 1,
        ]));
    }

    public function test_a_new_report_shows_what_was_sent(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('core_reportbuilder');
        $report = $generator->create_report(['name' => 'Test', 'source' => health::class, 'default' => 1]);

        $content = $this->get_custom_report_content($report->get('id'));

        $this->assertCount(1, $content);
        $shown = array_map('strip_tags', array_map('strval', array_values($content[0])));
        foreach (['The CRM', 'failing', 'It refuses the key.', '12'] as $text) {
            $this->assertContains($text, $shown);
        }
    }

    public function test_stress(): void {
        $this->datasource_stress_test_columns(health::class);
        $this->datasource_stress_test_columns_aggregation(health::class);
        $this->datasource_stress_test_conditions(health::class, 'health:name');
    }
}
