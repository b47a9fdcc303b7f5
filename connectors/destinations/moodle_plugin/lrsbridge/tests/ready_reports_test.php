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

use core_reportbuilder\local\models\report;
use local_lrsbridge\reportbuilder\datasource\impacts;
use local_lrsbridge\reportbuilder\datasource\records as source;

/**
 * Reports that are there from the start.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\ready_reports
 * @covers     ::xmldb_local_lrsbridge_install
 */
final class ready_reports_test extends \advanced_testcase {
    public function test_two_reports_are_there_after_installing_and_not_made_twice(): void {
        global $CFG;

        require_once($CFG->dirroot . '/local/lrsbridge/db/install.php');
        $this->resetAfterTest();
        $names = function (): array {
            $names = [];
            foreach ([source::class, impacts::class] as $source) {
                foreach (report::get_records(['source' => $source]) as $report) {
                    $names[] = $report->get('name');
                }
            }
            return $names;
        };
        foreach ($names() as $name) {
            $this->assertContains($name, ['On-the-job performance', 'What training changed']);
        }
        $this->assertCount(2, $names());

        xmldb_local_lrsbridge_install();
        $this->assertCount(2, $names());

        report::get_record(['source' => impacts::class])->delete();
        $this->assertTrue(xmldb_local_lrsbridge_install());
        $this->assertSame(['On-the-job performance', 'What training changed'], $names());
    }

    public function test_reports_made_on_the_command_line_are_the_admins_and_so_in_the_list(): void {
        $this->resetAfterTest();
        $this->setUser(null);
        report::get_record(['source' => impacts::class])->delete();

        \local_lrsbridge\ready_reports::make();

        // The list joins the user who modified a report, so that one of nobody's is in it never.
        $made = report::get_record(['source' => impacts::class]);
        $this->assertEquals(get_admin()->id, $made->get('usermodified'));
        $this->assertEquals(get_admin()->id, $made->get('usercreated'));
    }
}
