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

use local_lrsbridge\fixtures\fake_curl;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/fixtures/fake_curl.php');

/**
 * What the connection test finds.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\connection_test
 */
final class connection_test_test extends \advanced_testcase {
    /** @var int */
    private $account;

    /**
     * A site that is set up in full, for both ways.
     */
    protected function setUp(): void {
        global $DB;

        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        set_config('mode', 'both', 'local_lrsbridge');
        set_config('url', 'https://bridge.example.com', 'local_lrsbridge');
        set_config('key', 'thekey', 'local_lrsbridge');
        set_config('secret', 'thesecret', 'local_lrsbridge');
        set_config('curlsecurityblockedhosts', '');
        set_config('curlsecurityallowedport', '');
        set_config('enablewebservices', 1);
        set_config('webserviceprotocols', 'rest');
        set_config('enablecustomreports', 1);
        set_config('lastcronstart', time(), 'tool_task');
        $user = $this->getDataGenerator()->create_user();
        $this->account = (int) $user->id;
        $role = $this->getDataGenerator()->create_role();
        foreach (['local/lrsbridge:push', 'webservice/rest:use'] as $capability) {
            assign_capability($capability, CAP_ALLOW, $role, \context_system::instance());
        }
        role_assign($role, $user->id, \context_system::instance());
        $service = $DB->get_record('external_services', ['shortname' => 'local_lrsbridge'], '*', MUST_EXIST);
        $DB->insert_record('external_tokens', [
            'token' => 'x', 'tokentype' => EXTERNAL_TOKEN_PERMANENT, 'userid' => $user->id, 'externalserviceid' => $service->id,
            'contextid' => \context_system::instance()->id, 'creatorid' => 2, 'timecreated' => time(), 'validuntil' => 0,
        ]);
    }

    /**
     * Levels and texts of what is found.
     *
     * @param array $answer What lrs-bridge answers.
     * @return string[]
     */
    private function findings(array $answer = []): array {
        $body = ['rows' => [[]], 'next' => null, 'more' => false];
        $curl = new fake_curl(function () use ($answer, $body): array {
            return $answer + ['body' => json_encode($body), 'headers' => ['Date' => gmdate('D, d M Y H:i:s') . ' GMT']];
        });
        $found = (new connection_test(function () use ($curl): bridge {
            return new bridge($curl);
        }))->run();
        return array_map(function (array $finding): string {
            return "{$finding['level']}: {$finding['message']}";
        }, $found);
    }

    public function test_all_is_well_where_all_is_set_up(): void {
        global $CFG;

        $this->assertSame([
            "success: lrs-bridge can push rows to {$CFG->wwwroot}.",
            'success: Rows can be pulled from https://bridge.example.com.',
        ], $this->findings());
    }

    /**
     * What may be wrong on this site, and words of what is said of it.
     *
     * @return array[]
     */
    public static function faults(): array {
        return [
            [['enablewebservices' => 0], 'error: Web services are switched off'],
            [['webserviceprotocols' => 'soap'], 'error: The REST protocol is switched off'],
            [['enablecustomreports' => 0], 'warning: Custom reports are switched off'],
        ];
    }

    /**
     * A setting of the site that stands in the way is named.
     *
     * @dataProvider faults
     * @param array $settings
     * @param string $words
     */
    public function test_a_setting_that_stands_in_the_way_is_named(array $settings, string $words): void {
        foreach ($settings as $name => $value) {
            set_config($name, $value);
        }

        $found = $this->findings();

        $this->assertStringStartsWith($words, $found[0]);
        $wrong = strpos($words, 'error') === 0;
        $this->assertSame($wrong, !preg_grep('/can push rows/', $found));
    }

    public function test_what_a_token_lacks_is_told_step_by_step(): void {
        global $DB;

        $DB->set_field('external_tokens', 'validuntil', time() - 1, []);
        $this->assertStringContainsString('out of date', $this->findings()[0]);
        $DB->set_field('external_tokens', 'validuntil', time() + 1000, []);
        $this->assertStringContainsString('can push', $this->findings()[0]);
        role_unassign_all(['userid' => $this->account]);
        $this->assertStringContainsString('local/lrsbridge:push and webservice/rest:use', $this->findings()[0]);
        $DB->delete_records('external_tokens');
        $this->assertStringContainsString('Nobody has a token', $this->findings()[0]);
        $DB->set_field('external_services', 'enabled', 0, ['shortname' => 'local_lrsbridge']);
        $this->assertStringContainsString('No service that is enabled', $this->findings()[0]);
    }

    public function test_faults_of_the_other_side_are_told_in_words(): void {
        $found = $this->findings(['status' => 401, 'body' => '{"detail": "Revoked."}']);
        $this->assertStringStartsWith('error: lrs-bridge does not know this key', end($found));
        $this->assertStringContainsString('Revoked.', end($found));
    }

    public function test_clocks_that_differ_are_told(): void {
        $found = $this->findings(['headers' => ['date' => gmdate('D, d M Y H:i:s', time() + 600) . ' GMT']]);
        $this->assertCount(1, preg_grep('/^warning: .*ahead of this machine\'s by (10 mins|9 mins)/', $found));
        $found = $this->findings(['headers' => ['date' => gmdate('D, d M Y H:i:s', time() - 600) . ' GMT']]);
        $this->assertCount(1, preg_grep('/^warning: .*behind this machine\'s by (10 mins|9 mins)/', $found));
    }

    public function test_a_key_without_rows_an_open_address_and_a_late_cron_are_worth_a_word(): void {
        set_config('url', 'http://bridge.example.com', 'local_lrsbridge');
        set_config('lastcronstart', time() - HOURSECS, 'tool_task');
        $found = $this->findings(['body' => '{"rows": [], "next": null, "more": false}']);

        $this->assertCount(1, preg_grep('/^warning: Scheduled tasks have not run/', $found));
        $this->assertCount(1, preg_grep('/^warning: .*in the clear/', $found));
        $this->assertCount(1, preg_grep('/^warning: .*no rows for this key/', $found));
    }

    public function test_only_the_way_that_is_chosen_is_tried(): void {
        set_config('mode', 'push', 'local_lrsbridge');
        set_config('url', '', 'local_lrsbridge');
        $this->assertCount(1, $this->findings());
        set_config('mode', 'pull', 'local_lrsbridge');
        $this->assertStringContainsString('The address of lrs-bridge is not set', $this->findings()[0]);
    }
}
