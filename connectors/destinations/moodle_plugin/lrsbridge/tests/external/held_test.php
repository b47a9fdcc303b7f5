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
use local_lrsbridge\people;
use local_lrsbridge\store;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../classes/external/compat.php');

/**
 * What is told of the rows that are held.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\external\held
 * @covers     \local_lrsbridge\external\status
 * @covers     \local_lrsbridge\store
 */
final class held_test extends \advanced_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
    }

    /**
     * Ask as the web service does.
     *
     * @param string $feed
     * @param string $after
     * @param int $limit
     * @return array
     */
    private function held(string $feed, string $after = '', int $limit = 1000): array {
        return external_api::clean_returnvalue(held::execute_returns(), held::execute($feed, $after, $limit));
    }

    /**
     * Checksums of records, by key.
     *
     * @return string[]
     */
    private function checksums(): array {
        return array_column($this->held('records')['rows'], 'checksum', 'key');
    }

    public function test_rows_are_told_page_by_page_and_what_is_gone_is_not(): void {
        $rows = [];
        for ($i = 10; $i < 35; $i++) {
            $rows["a{$i}/sales"] = $this->rows->store($this->rows->row('records', "a{$i}/sales", ['program' => 'sales']));
        }
        $this->rows->store($this->rows->row('records', 'a20/sales', [], null, ['deleted' => true]));
        unset($rows['a20/sales']);

        $told = [];
        $after = '';
        do {
            $page = $this->held('records', $after, 10);
            $told = array_merge($told, $page['rows']);
            $after = end($told)['key'];
        } while ($page['more']);

        $this->assertSame(array_column($rows, 'checksum', 'key'), array_column($told, 'checksum', 'key'));
        $this->assertSame(array_column($rows, 'version', 'key'), array_column($told, 'version', 'key'));
        $this->assertSame(['rows' => [], 'more' => false], $this->held('measures'));
    }

    /**
     * Columns and what other hands might put into them.
     *
     * @return array[]
     */
    public static function changes(): array {
        return [
            ['attempts', 8], ['bestscore', '0.500001'], ['team', 'South'], ['completedat', null], ['userid', 1], ['userid', null],
            ['userdata', '{}'], ['nextpractice', 'Rest.'], ['checksum', str_repeat('0', 64)], ['version', 99], ['learner', 'a2'],
        ];
    }

    /**
     * A row that was changed here is told as such, and mended by the same version.
     *
     * @dataProvider changes
     * @param string $column
     * @param mixed $value
     */
    public function test_a_row_that_other_hands_changed_is_told_and_mended(string $column, $value): void {
        global $DB;

        $row = $this->rows->create_record($this->getDataGenerator()->create_user(), 'sales', [], [
            'attempts' => 7, 'best_score' => 0.5, 'completed_at' => '2026-11-01T00:00:00Z', 'next_practice' => 'Ask.',
        ]);
        $key = $row['key'];
        $before = $DB->get_record('local_lrsbridge_record', []);
        $this->assertSame([$key => $row['checksum']], $this->checksums());

        $DB->set_field('local_lrsbridge_record', $column, $value, []);
        $this->assertSame([$key => 'changed'], $this->checksums());

        $this->assertSame('stored', store::take([$row])[0]['outcome']);
        $this->assertSame([$key => $row['checksum']], $this->checksums());
        $after = $DB->get_record('local_lrsbridge_record', []);
        unset($before->timemodified, $after->timemodified, $before->contenthash, $after->contenthash);
        $this->assertEquals($before, $after);
    }

    /**
     * Bodies whose values a database might give back otherwise than they were sent.
     *
     * @return array[]
     */
    public static function bodies(): array {
        return [
            [[]],
            [['best_score' => 0.1 + 0.2, 'rate_before' => -1e-7, 'rate_since' => 1 / 3, 'days_to_first' => 9999999999999.5]],
            [['best_score' => 1, 'rate_before' => 0, 'rate_since' => -0.0, 'days_to_first' => 1e-6, 'attempts' => 2.0]],
            [['team' => ' spaces ', 'role' => '', 'next_practice' => "a\r\nb\tc", 'match' => '0']],
            [['team' => "e\u{301}", 'program_title' => "\u{1F600}"]],
        ];
    }

    /**
     * What nobody changed is told as it was sent.
     *
     * @dataProvider bodies
     * @param array $body
     */
    public function test_what_nobody_changed_is_told_as_it_was_sent(array $body): void {
        $row = $this->rows->create_record($this->getDataGenerator()->create_user(), 'sales', [], $body);

        $this->assertSame([$row['key'] => $row['checksum']], $this->checksums());
    }

    public function test_a_row_that_found_its_user_later_is_not_told_as_changed(): void {
        global $DB;

        $user = ['emails' => ['late@example.com']];
        $row = $this->rows->store($this->rows->row('records', 'a1/sales', ['program' => 'sales'], $user));
        $this->getDataGenerator()->create_user(['email' => 'late@example.com']);
        people::match_again();

        $this->assertNotNull($DB->get_field('local_lrsbridge_record', 'userid', []));
        $this->assertSame(['a1/sales' => $row['checksum']], $this->checksums());
    }

    public function test_matching_does_not_cover_up_what_other_hands_changed(): void {
        global $DB;

        $this->rows->store($this->rows->row('records', 'a1/sales', ['program' => 'sales'], ['emails' => ['late@example.com']]));
        $this->getDataGenerator()->create_user(['email' => 'late@example.com']);
        $DB->set_field('local_lrsbridge_record', 'attempts', 99, []);
        people::match_again();

        $this->assertSame(['a1/sales' => 'changed'], $this->checksums());
    }

    public function test_an_unknown_feed_is_named(): void {
        $this->expectException(\invalid_parameter_exception::class);
        held::execute('wages');
    }

    public function test_whoever_lacks_the_capability_is_refused(): void {
        $this->setUser($this->getDataGenerator()->create_user());
        foreach ([fn() => held::execute('records'), fn() => status::execute()] as $call) {
            try {
                $call();
                $this->fail('Told to somebody without the capability');
            } catch (\required_capability_exception $e) {
                $this->assertSame('nopermissions', $e->errorcode);
            }
        }
    }

    public function test_status_tells_what_this_site_is_and_how_things_stand(): void {
        global $CFG;

        $user = $this->getDataGenerator()->create_user();
        $row = $this->rows->row('records', 'a1/sales', ['program' => 'sales'], $user);
        $gone = $this->rows->row('records', 'a2/sales', [], null, ['deleted' => true]);
        $strange = $this->rows->row('records', 'a3/sales', ['program' => 'sales']);
        push_rows::execute(json_encode([$row, $gone, $strange, ['feed' => 'wages'] + $row]));

        $status = external_api::clean_returnvalue(status::execute_returns(), status::execute());

        $this->assertSame($CFG->wwwroot, $status['wwwroot']);
        $this->assertSame($CFG->wwwroot, $status['homepage']);
        $this->assertSame('push', $status['mode']);
        $this->assertSame($CFG->release, $status['moodlerelease']);
        $counts = array_column($status['counts'], null, 'feed');
        $this->assertSame(['feed' => 'records', 'held' => 2, 'gone' => 1, 'unmatched' => 1], $counts['records']);
        $this->assertSame(0, $counts['health']['held']);
        $exchanges = array_column($status['exchanges'], null, 'feed');
        $this->assertSame(3, $exchanges['records']['received']);
        $this->assertNull($exchanges['records']['problem']);
        $this->assertSame(1, $exchanges['unknown']['refused']);
        $this->assertNotNull($status['timelast']);
    }
}
