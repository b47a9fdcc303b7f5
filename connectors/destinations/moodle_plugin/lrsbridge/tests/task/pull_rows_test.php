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

namespace local_lrsbridge\task;

use local_lrsbridge\bridge;
use local_lrsbridge\exchanges;
use local_lrsbridge\fixtures\fake_curl;
use local_lrsbridge\puller;
use local_lrsbridge\store;
use local_lrsbridge\unreachable;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_curl.php');

/**
 * Rows that are pulled.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\puller
 * @covers     \local_lrsbridge\bridge
 * @covers     \local_lrsbridge\exchanges
 * @covers     \local_lrsbridge\task\pull_rows
 */
final class pull_rows_test extends \advanced_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    /** @var array[] What lrs-bridge has, by feed, in the order in which it gives it. */
    private $published = [];

    /** @var array[] What it answers instead, one after the other; null lets it answer. */
    private $instead = [];

    /** @var fake_curl */
    private $curl;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        set_config('mode', 'pull', 'local_lrsbridge');
        set_config('url', 'https://bridge.example.com/', 'local_lrsbridge');
        set_config('key', 'thekey', 'local_lrsbridge');
        set_config('secret', 'thesecret', 'local_lrsbridge');
        set_config('curlsecurityblockedhosts', '');
        set_config('curlsecurityallowedport', '');
        $this->curl = new fake_curl(function (string $url, array $query): array {
            return array_shift($this->instead) ?? $this->answer($query);
        });
    }

    /**
     * Answer as lrs-bridge does: cursors are places in the list of the feed.
     *
     * @param array $query
     * @return array
     */
    private function answer(array $query): array {
        $all = $this->published[$query['feed']] ?? [];
        $from = (int) substr($query['after'] ?? 'at0', 2);
        $rows = array_slice($all, $from, 2);
        $to = $from + count($rows);
        return ['body' => json_encode(['rows' => $rows, 'next' => "at{$to}", 'more' => $to < count($all)])];
    }

    /**
     * Run the pull, of which nothing but this is replaced: what it asks with.
     */
    private function pull(): void {
        (new puller(function (): bridge {
            return new bridge($this->curl);
        }))->pull_all();
    }

    /**
     * Keys of records that are held.
     *
     * @return string[]
     */
    private function held(): array {
        global $DB;

        return $DB->get_fieldset_select('local_lrsbridge_record', 'rowkey', 'deleted = 0 ORDER BY rowkey');
    }

    /**
     * Publish records.
     *
     * @param int $from
     * @param int $to
     */
    private function publish(int $from, int $to): void {
        for ($i = $from; $i <= $to; $i++) {
            $this->published['records'][] = $this->rows->row('records', "a{$i}/sales", ['program' => 'sales']);
        }
    }

    public function test_all_pages_of_all_feeds_are_pulled_and_only_what_is_new_the_next_time(): void {
        $this->publish(1, 5);
        $this->published['health'][] = $this->rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm']);
        $this->expectOutputRegex('/records: 5 rows/');

        $this->pull();
        $asked = count($this->curl->asked);
        $this->publish(6, 6);
        $this->published['records'][] = $this->rows->row('records', 'a1/sales', [], null, ['deleted' => true]);
        $this->pull();

        $this->assertSame(['a2/sales', 'a3/sales', 'a4/sales', 'a5/sales', 'a6/sales'], $this->held());
        $this->assertSame('at7', exchanges::position('records'));
        $this->assertCount(5, array_slice($this->curl->asked, $asked));
        $this->assertEquals(1, store::counts()['health']['held']);
    }

    public function test_it_is_asked_with_the_key_and_for_this_site(): void {
        global $CFG;

        $this->expectOutputRegex('/./');
        $this->pull();

        $first = $this->curl->asked[0];
        $this->assertSame('https://bridge.example.com/api/v1/changes', $first['url']);
        $this->assertSame(['feed' => 'records', 'limit' => 500, 'site' => $CFG->wwwroot], $first['params']);
        $this->assertContains('Authorization: Basic ' . base64_encode('thekey:thesecret'), $first['headers']);
        $this->assertSame(0, $first['options']['CURLOPT_FOLLOWLOCATION']);
    }

    public function test_a_run_that_breaks_off_goes_on_where_it_was(): void {
        $this->publish(1, 5);
        $this->instead = [null, ['status' => 503, 'body' => '{}']];
        $this->expectOutputRegex('/status 503/');

        try {
            $this->pull();
            $this->fail('A failure was kept quiet');
        } catch (unreachable $e) {
            $this->assertSame('problembusy', $e->errorcode);
        }
        $this->assertSame(['a1/sales', 'a2/sales'], $this->held());
        $this->assertSame('at2', exchanges::position('records'));

        $this->pull();
        $this->assertCount(5, $this->held());
    }

    public function test_a_feed_that_fails_does_not_stop_the_others_and_is_told(): void {
        global $DB;

        $this->published['health'][] = $this->rows->row('health', 'source/crm', ['kind' => 'source', 'name' => 'crm']);
        $this->instead = [['status' => 500, 'body' => json_encode(['detail' => 'A fault.'])]];
        $this->expectOutputRegex('/A fault/');

        try {
            $this->pull();
            $this->fail('A failure was kept quiet');
        } catch (unreachable $e) {
            $this->assertSame('problemstatus', $e->errorcode);
        }

        $this->assertEquals(1, store::counts()['health']['held']);
        $failed = $DB->get_record('local_lrsbridge_exchange', ['feed' => 'records', 'direction' => 'pull']);
        $this->assertEquals(1, $failed->failures);
        $this->assertEquals(0, $failed->timesuccess);
        $this->assertStringContainsString('A fault.', $failed->problem);
        $this->assertStringNotContainsString('thesecret', $failed->problem);
        $this->pull();
        $this->assertEquals(0, $DB->get_field('local_lrsbridge_exchange', 'failures', ['id' => $failed->id]));
    }

    /**
     * How lrs-bridge says that it does not know a position.
     *
     * @return array[]
     */
    public static function unknown_positions(): array {
        return [
            [['status' => 410, 'body' => json_encode(['detail' => 'This cursor is none.'])]],
            [['status' => 400, 'body' => json_encode(['detail' => 'It is none.', 'errors' => [['parameter' => 'after']]])]],
        ];
    }

    /**
     * A position that is no longer known begins anew, once, and what is not given again is dropped when all was given.
     *
     * @dataProvider unknown_positions
     * @param array $answer
     */
    public function test_a_position_that_is_no_longer_known_begins_anew(array $answer): void {
        $this->rows->store($this->rows->row('records', 'a9/sales', ['program' => 'sales']));
        $this->publish(1, 4);
        $this->expectOutputRegex('/./');
        $this->pull();
        $this->instead = [$answer, null, ['status' => 503, 'body' => '{}']];
        $this->published['records'] = array_slice($this->published['records'], 2);
        $this->publish(7, 7);

        try {
            $this->pull();
            $this->fail('A failure was kept quiet');
        } catch (unreachable $e) {
            // Half of it was given again, so that nothing may be dropped yet.
            $this->assertSame(['a1/sales', 'a2/sales', 'a3/sales', 'a4/sales', 'a9/sales'], $this->held());
        }
        $this->pull();

        // The row that was pushed is not for pulling to drop.
        $this->assertSame(['a3/sales', 'a4/sales', 'a7/sales', 'a9/sales'], $this->held());
        $this->assertSame('at3', exchanges::position('records'));
        $this->publish(8, 8);
        $this->pull();
        $this->assertSame(['a3/sales', 'a4/sales', 'a7/sales', 'a8/sales', 'a9/sales'], $this->held());
        $this->instead = [$answer, $answer];
        $this->expectException(unreachable::class);
        $this->pull();
    }

    public function test_after_lrs_bridge_was_restored_the_earlier_state_is_taken(): void {
        global $DB;

        $this->publish(1, 3);
        $this->published['records'][0] = ['version' => 50] + $this->published['records'][0];
        $this->expectOutputRegex('/./');
        $this->pull();
        $before = $DB->get_record('local_lrsbridge_record', ['rowkey' => 'a2/sales']);
        $this->published['records'][0] = $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 1]);
        $this->assertLessThan(50, $this->published['records'][0]['version']);

        // Where pulling does not begin anew, an older version is an old page.
        $this->assertSame('unchanged', store::take([$this->published['records'][0]], null, 1)[0]['outcome']);
        array_splice($this->published['records'], 2, 1);
        $this->instead = [['status' => 410, 'body' => json_encode(['detail' => 'The database was restored.'])]];
        $this->pull();

        $this->assertSame(['a1/sales', 'a2/sales'], $this->held());
        $this->assertEquals(1, $DB->get_field('local_lrsbridge_record', 'attempts', ['rowkey' => 'a1/sales']));
        $after = $DB->get_record('local_lrsbridge_record', ['rowkey' => 'a2/sales']);
        $this->assertSame($before->pullround + 1, (int) $after->pullround);
        $this->assertEquals(['pullround' => 0] + (array) $before, ['pullround' => 0] + (array) $after);
        // And in the new round versions count again.
        $late = ['version' => 1] + $this->rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 9]);
        $this->assertSame('unchanged', store::take([$late], null, 2)[0]['outcome']);
    }

    public function test_a_row_that_a_narrower_key_does_not_see_is_gone_and_comes_back_by_a_wider_one(): void {
        $this->publish(1, 1);
        $row = $this->published['records'][0];
        $hidden = ['deleted' => true, 'user' => null, 'body' => []] + $row;

        foreach ([[$row, 'unmatched'], [$hidden, 'deleted'], [$hidden, 'deleted'], [$row, 'unmatched']] as [$sent, $outcome]) {
            $this->assertSame($outcome, store::take([$sent])[0]['outcome']);
            $this->assertSame($outcome === 'deleted' ? [] : ['a1/sales'], $this->held());
        }
    }

    public function test_more_without_a_place_is_no_endless_loop(): void {
        $this->expectOutputRegex('/./');
        $this->pull();
        $this->instead = [['body' => json_encode(['rows' => [], 'next' => 'at0', 'more' => true])]];

        $this->expectException(unreachable::class);
        $this->pull();
    }

    public function test_a_refused_row_is_told_and_does_not_stop_the_others(): void {
        global $DB;

        $this->publish(1, 2);
        $this->published['records'][0]['version'] = 'first';
        $this->expectOutputRegex('/./');

        $this->pull();

        $this->assertSame(['a2/sales'], $this->held());
        $exchange = $DB->get_record('local_lrsbridge_exchange', ['feed' => 'records', 'direction' => 'pull']);
        $this->assertEquals(1, $exchange->refused);
        $this->assertStringContainsString('a1/sales', $exchange->problem);
    }

    public function test_nothing_is_pulled_where_rows_are_pushed(): void {
        set_config('mode', 'push', 'local_lrsbridge');
        \curl::mock_response('not asked for');
        $this->expectOutputRegex('/Pulling is off/');

        (new pull_rows())->execute();

        $this->assertSame([], exchanges::all());
    }

    public function test_the_task_pulls_by_the_settings(): void {
        foreach (array_reverse(\local_lrsbridge\feed::names()) as $feed) {
            $rows = $feed === 'records' ? [$this->rows->row('records', 'a1/sales', ['program' => 'sales'])] : [];
            \curl::mock_response(json_encode(['rows' => $rows, 'next' => 'x', 'more' => false]));
        }
        $this->expectOutputRegex('/records: 1 rows/');

        (new pull_rows())->execute();

        $this->assertSame(['a1/sales'], $this->held());
    }

    /**
     * What lrs-bridge, or the network, may do, and which message it makes.
     *
     * @return array[]
     */
    public static function faults(): array {
        $problem = json_encode(['detail' => 'Words of the other side.']);
        return [
            'wrong key' => [['status' => 401, 'body' => $problem], 'problemkey'],
            'narrow key' => [['status' => 403, 'body' => $problem], 'problemscope'],
            'another server' => [['status' => 404, 'body' => '<html>'], 'problemnotfound'],
            'an old lrs-bridge' => [['status' => 404, 'body' => $problem], 'problemversion'],
            'an argument it does not know' => [['status' => 400, 'body' => $problem], 'problemversion'],
            'busy' => [['status' => 429, 'body' => $problem], 'problembusy'],
            'fault' => [['status' => 500, 'body' => 'oops'], 'problemstatus'],
            'redirect' => [['status' => 301, 'body' => '', 'headers' => ['Location' => 'https://x.example']], 'problemredirect'],
            'a page' => [['body' => '<html>Welcome</html>'], 'problemanswer'],
            'other JSON' => [['body' => '{"items": []}'], 'problemanswer'],
            'too many rows' => [['body' => json_encode(['rows' => array_fill(0, 1001, []), 'next' => '', 'more' => false])],
                'problemanswer'],
            'no such host' => [['status' => 0, 'errno' => CURLE_COULDNT_RESOLVE_HOST, 'body' => ''], 'problemhost'],
            'nothing there' => [['status' => 0, 'errno' => CURLE_COULDNT_CONNECT, 'body' => ''], 'problemconnect'],
            'silence' => [['status' => 0, 'errno' => CURLE_OPERATION_TIMEOUTED, 'body' => ''], 'problemtimeout'],
            'certificate' => [['status' => 0, 'errno' => CURLE_SSL_CACERT, 'body' => ''], 'problemtls'],
            'reset' => [['status' => 0, 'errno' => CURLE_RECV_ERROR, 'body' => ''], 'problemnetwork'],
            'blocked by a plugin' => [['status' => 0, 'body' => 'The URL is blocked.'], 'problemblocked'],
        ];
    }

    /**
     * What goes wrong is said with what to do about it, and without the secret.
     *
     * @dataProvider faults
     * @param array $answer
     * @param string $expected
     */
    public function test_what_goes_wrong_is_told_by_its_cause(array $answer, string $expected): void {
        $this->instead = [$answer];

        try {
            (new bridge($this->curl))->changes('records', null, 1);
            $this->fail('No fault was seen');
        } catch (unreachable $e) {
            $this->assertSame($expected, $e->errorcode);
            $this->assertStringNotContainsString('[[', $e->getMessage());
            $this->assertStringNotContainsString('thesecret', $e->getMessage());
            if (strpos($answer['body'], 'Words') !== false) {
                $this->assertStringContainsString('Words of the other side.', $e->getMessage());
            }
        }
    }

    public function test_an_address_that_this_site_blocks_is_not_asked_and_named(): void {
        set_config('url', 'http://127.0.0.1:8000', 'local_lrsbridge');
        set_config('curlsecurityblockedhosts', '127.0.0.1');

        try {
            (new bridge($this->curl))->changes('records', null, 1);
            $this->fail('A blocked address was asked');
        } catch (unreachable $e) {
            $this->assertSame('problemblocked', $e->errorcode);
            $this->assertStringContainsString('127.0.0.1', $e->getMessage());
            $this->assertStringContainsString('8000', $e->getMessage());
        }
        $this->assertSame([], $this->curl->asked);
    }

    /**
     * Settings that cannot work, and which message they make.
     *
     * @return array[]
     */
    public static function settings(): array {
        return [
            ['url', '', 'problemnourl'],
            ['url', 'bridge.example.com', 'problemurl'],
            ['key', '', 'problemnokey'],
            ['secret', '', 'problemnokey'],
        ];
    }

    /**
     * Settings that cannot work are told.
     *
     * @dataProvider settings
     * @param string $name
     * @param string $value
     * @param string $expected
     */
    public function test_settings_that_cannot_work_are_told(string $name, string $value, string $expected): void {
        set_config($name, $value, 'local_lrsbridge');

        try {
            new bridge();
            $this->fail('The settings were taken');
        } catch (unreachable $e) {
            $this->assertSame($expected, $e->errorcode);
        }
    }
}
