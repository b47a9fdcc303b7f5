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

namespace local_lrsbridge\privacy;

use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;
use core_privacy\tests\provider_testcase;
use local_lrsbridge\store;

/**
 * What is kept about people is told, exported and deleted.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\privacy\provider
 * @covers     \local_lrsbridge\store
 */
final class provider_test extends provider_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    /** @var \stdClass */
    private $ada;

    /** @var \stdClass */
    private $bob;

    /** @var array[] Rows that were stored. */
    private $stored = [];

    /**
     * Two people with a row in each feed about people.
     */
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        foreach (['ada', 'bob'] as $name) {
            $user = $this->getDataGenerator()->create_user(['username' => $name]);
            $this->$name = $user;
            $this->stored[$name] = [
                $this->rows->create_record($user, 'sales', [], ['completed_at' => '2026-11-01T00:00:00Z']),
                $this->rows->create_about('measures', $user, 'sales/won', ['program' => 'sales', 'metric' => 'won']),
                $this->rows->create_about('readiness', $user, 'objections', ['skill' => 'objections']),
            ];
        }
    }

    /**
     * How many rows are held about a user.
     *
     * @param \stdClass $user
     * @return int
     */
    private function count_of(\stdClass $user): int {
        global $DB;

        return $DB->count_records('local_lrsbridge_record', ['userid' => $user->id])
            + $DB->count_records('local_lrsbridge_measure', ['userid' => $user->id])
            + $DB->count_records('local_lrsbridge_readiness', ['userid' => $user->id]);
    }

    public function test_every_column_about_people_is_told(): void {
        global $DB;

        $told = [];
        foreach (provider::get_metadata(new collection('local_lrsbridge'))->get_collection() as $item) {
            $told[$item->get_name()] = $item->get_privacy_fields();
            foreach ($item->get_privacy_fields() + [$item->get_summary()] as $string) {
                $this->assertTrue(get_string_manager()->string_exists($string, 'local_lrsbridge'), $string);
            }
        }
        // Of every table that there is, a new one too.
        $about = [];
        foreach ($DB->get_tables(false) as $table) {
            $columns = strpos($table, 'local_lrsbridge_') === 0 ? array_keys($DB->get_columns($table)) : [];
            if (array_intersect($columns, ['userid', 'learner', 'userdata'])) {
                $about[] = $table;
                $internal = ['id', 'version', 'checksum', 'contenthash', 'deleted', 'pullround'];
                $this->assertEqualsCanonicalizing(array_diff($columns, $internal), array_keys($told[$table] ?? []), $table);
            }
        }
        $this->assertEqualsCanonicalizing(array_merge($about, ['lrsbridge']), array_keys($told));
    }

    public function test_data_lie_in_the_context_of_their_user(): void {
        $context = \context_user::instance($this->ada->id);
        $stranger = $this->getDataGenerator()->create_user();

        $this->assertEquals([$context->id], provider::get_contexts_for_userid($this->ada->id)->get_contextids());
        $this->assertEquals([], provider::get_contexts_for_userid($stranger->id)->get_contextids());
        $list = new userlist($context, 'local_lrsbridge');
        provider::get_users_in_context($list);
        $this->assertEquals([$this->ada->id], $list->get_userids());
        $list = new userlist(\context_system::instance(), 'local_lrsbridge');
        provider::get_users_in_context($list);
        $this->assertEquals([], $list->get_userids());
    }

    public function test_what_is_kept_about_a_user_is_exported_and_nobody_elses(): void {
        $context = \context_user::instance($this->ada->id);
        $contexts = [$context->id, \context_user::instance($this->bob->id)->id];
        provider::export_user_data(new approved_contextlist($this->ada, 'local_lrsbridge', $contexts));

        $name = get_string('pluginname', 'local_lrsbridge');
        $data = writer::with_context($context)->get_data([$name, get_string('feedrecords', 'local_lrsbridge')]);
        $this->assertCount(1, $data->rows);
        $this->assertSame('sales', $data->rows[0]->program);
        $this->assertStringContainsString('2026', $data->rows[0]->completedat);
        $this->assertSame(fullname($this->ada), $data->rows[0]->userdata['name']);
        $this->assertTrue(writer::with_context($context)->has_any_data());
        $this->assertFalse(writer::with_context(\context_user::instance($this->bob->id))->has_any_data());
    }

    /**
     * The three ways in which the core asks for deletion.
     *
     * @return array[]
     */
    public static function deletions(): array {
        return [['of a user'], ['of users in a context'], ['of a context']];
    }

    /**
     * Deleted is deleted: the others' data stay, and lrs-bridge does not bring the person back.
     *
     * @dataProvider deletions
     * @param string $way
     */
    public function test_who_is_deleted_is_not_brought_back(string $way): void {
        global $DB;

        $context = \context_user::instance($this->ada->id);
        switch ($way) {
            case 'of a user':
                provider::delete_data_for_user(new approved_contextlist($this->ada, 'local_lrsbridge', [$context->id]));
                break;
            case 'of users in a context':
                provider::delete_data_for_users(new approved_userlist($context, 'local_lrsbridge', [$this->ada->id]));
                break;
            default:
                provider::delete_data_for_all_users_in_context($context);
        }

        $this->assertSame(0, $this->count_of($this->ada));
        $this->assertSame(3, $this->count_of($this->bob));
        foreach (['record', 'measure', 'readiness'] as $table) {
            $this->assertSame(1, $DB->count_records("local_lrsbridge_{$table}"));
        }
        $again = array_map(function (array $row): array {
            return ['version' => $row['version'] + 100] + $row;
        }, $this->stored['ada']);
        $again[] = $this->rows->row('records', "learner{$this->ada->id}/another", ['program' => 'another'], $this->ada);
        foreach (store::take($again) as $answer) {
            $this->assertSame('refused', $answer['outcome']);
            $this->assertStringContainsString('lrs-bridge erase', $answer['message']);
        }
        $this->assertSame(0, $this->count_of($this->ada));
        $gone = ['deleted' => true, 'user' => null, 'body' => [], 'version' => 999] + $this->stored['ada'][0];
        $this->assertSame('deleted', store::take([$gone])[0]['outcome']);
        $this->assertSame(1, $DB->count_records('local_lrsbridge_record'));
    }

    public function test_deletion_elsewhere_deletes_nothing(): void {
        provider::delete_data_for_all_users_in_context(\context_system::instance());
        $bobs = \context_user::instance($this->bob->id);
        provider::delete_data_for_user(new approved_contextlist($this->ada, 'local_lrsbridge', [$bobs->id]));
        provider::delete_data_for_users(new approved_userlist($bobs, 'local_lrsbridge', [$this->ada->id]));

        $this->assertSame(3, $this->count_of($this->ada));
        $this->assertSame(3, $this->count_of($this->bob));
    }
}
