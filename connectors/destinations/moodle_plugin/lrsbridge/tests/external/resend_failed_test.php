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

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../classes/external/compat.php');

/**
 * Events that failed are put back, and only those that are asked for.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\external\resend_failed
 */
final class resend_failed_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        if (!get_config('logstore_xapi', 'version')) {
            $this->markTestSkipped('logstore_xapi is not installed.');
        }
        $this->setAdminUser();
    }

    /**
     * Let an event have failed.
     *
     * @param int $courseid
     * @param int $timecreated
     * @param int|null $errortype
     */
    private function failed(int $courseid, int $timecreated = 5000, ?int $errortype = 500): void {
        global $DB;
        $DB->insert_record('logstore_xapi_failed_log', (object) [
            'eventname' => '\core\event\course_viewed', 'component' => 'core', 'action' => 'viewed', 'target' => 'course',
            'crud' => 'r', 'edulevel' => 2, 'contextid' => 1, 'contextlevel' => 50, 'contextinstanceid' => $courseid,
            'userid' => 2, 'courseid' => $courseid, 'anonymous' => 0, 'other' => 'N;', 'timecreated' => $timecreated,
            'errortype' => $errortype, 'response' => '{}', 'logstorestandardlogid' => $timecreated, 'type' => 0,
        ]);
    }

    /**
     * Ask as the web service does.
     *
     * @param int $courseid
     * @param int $since
     * @return array
     */
    private function resend(int $courseid, int $since = 0): array {
        return external_api::clean_returnvalue(
            resend_failed::execute_returns(),
            resend_failed::execute($courseid, $since)
        );
    }

    public function test_failed_events_of_the_course_are_put_back_once(): void {
        global $DB;
        foreach ([500, 401, null] as $errortype) {
            $this->failed(7, 5000, $errortype);
        }
        $this->failed(8);

        $this->assertEquals(['installed' => true, 'events' => 3], $this->resend(7));

        // As its own button leaves them: the task for failed events takes this type.
        $this->assertEquals(3, $DB->count_records('logstore_xapi_log', ['courseid' => 7, 'type' => 2]));
        $this->assertEquals([8], $DB->get_fieldset_select('logstore_xapi_failed_log', 'courseid', ''));
        $this->assertEquals(0, $this->resend(7)['events']);
        $this->assertEquals(3, $DB->count_records('logstore_xapi_log'));
    }

    public function test_what_is_old_or_can_be_no_statement_is_left(): void {
        global $DB;
        $this->failed(7, 4999);
        $this->failed(7, 5000, 10000);
        $this->failed(7, 5000);

        $this->assertEquals(1, $this->resend(7, 5000)['events']);

        $this->assertEquals(2, $DB->count_records('logstore_xapi_failed_log'));
    }

    public function test_it_takes_the_capability_of_its_error_report_too(): void {
        $user = $this->getDataGenerator()->create_user();
        $role = $this->getDataGenerator()->create_role();
        role_assign($role, $user->id, \context_system::instance()->id);
        assign_capability('local/lrsbridge:push', CAP_ALLOW, $role, SYSCONTEXTID);
        $this->failed(7);
        $this->setUser($user);

        try {
            $this->resend(7);
            $this->fail('It was let in.');
        } catch (\required_capability_exception $refused) {
            $this->assertEquals('nopermissions', $refused->errorcode);
        }

        assign_capability('logstore/xapi:manageerrors', CAP_ALLOW, $role, SYSCONTEXTID);
        accesslib_clear_all_caches_for_unit_testing();
        $this->assertEquals(1, $this->resend(7)['events']);
        unassign_capability('local/lrsbridge:push', $role);
        accesslib_clear_all_caches_for_unit_testing();
        $this->expectException(\required_capability_exception::class);
        $this->resend(7);
    }
}
