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

/**
 * Who a learner of lrs-bridge is here.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\people
 * @covers     \local_lrsbridge\site
 * @covers     \local_lrsbridge\observer
 * @covers     \local_lrsbridge\task\match_users
 */
final class people_test extends \advanced_testcase {
    /** @var \stdClass */
    private $ada;

    /** @var \stdClass */
    private $bob;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator();
        $this->ada = $generator->create_user(['username' => 'ada', 'idnumber' => 'E1', 'email' => 'Ada@Example.com']);
        $this->bob = $generator->create_user(['username' => 'bob', 'idnumber' => 'E2', 'email' => 'bob@example.com']);
    }

    /**
     * The name of the user that is found, or null.
     *
     * @param array|null $user
     * @return string|null
     */
    private function find(?array $user): ?string {
        global $DB;

        $id = (new people())->find($user);
        return $id === null ? null : $DB->get_field('user', 'username', ['id' => $id]);
    }

    /**
     * A user by one account of this site.
     *
     * @param string $name
     * @param string|null $homepage
     * @return array
     */
    private function account(string $name, ?string $homepage = null): array {
        global $CFG;

        return ['accounts' => [['home_page' => $homepage ?? $CFG->wwwroot, 'name' => $name]]];
    }

    public function test_an_account_of_this_site_names_a_user_by_id_or_username(): void {
        global $CFG;

        $this->assertSame('ada', $this->find($this->account((string) $this->ada->id)));
        $this->assertSame('bob', $this->find($this->account('bob')));
        $this->assertSame('ada', $this->find($this->account((string) $this->ada->id, $CFG->wwwroot . '/')));
        $open = str_replace('https:', 'http:', $CFG->wwwroot);
        $this->assertSame('ada', $this->find($this->account((string) $this->ada->id, $open)));
    }

    public function test_accounts_of_other_sites_name_nobody(): void {
        $this->assertNull($this->find($this->account((string) $this->ada->id, 'https://other.example')));
        $this->assertNull($this->find($this->account('ada', 'https://other.example')));
    }

    public function test_a_home_page_of_the_settings_names_users_by_username_alone(): void {
        set_config('homepage', 'https://hr.example/', 'local_lrsbridge');

        $this->assertSame('ada', $this->find($this->account('ada', 'https://hr.example')));
        $this->assertNull($this->find($this->account((string) $this->ada->id, 'https://hr.example')));
        $this->assertSame('https://hr.example/', site::homepage());
    }

    public function test_a_number_that_is_ones_id_and_anothers_username_names_nobody(): void {
        $this->getDataGenerator()->create_user(['username' => (string) $this->ada->id]);

        $this->assertNull($this->find($this->account((string) $this->ada->id)));
        $this->assertSame('bob', $this->find($this->account((string) $this->ada->id) + ['idnumber' => 'E2']));
    }

    public function test_the_first_way_that_names_exactly_one_counts(): void {
        $this->assertSame('ada', $this->find($this->account((string) $this->ada->id) + ['idnumber' => 'E2']));
        $this->assertSame('bob', $this->find(['idnumber' => 'E2', 'username' => 'ada', 'emails' => ['ada@example.com']]));
        $this->assertSame('ada', $this->find(['idnumber' => 'E9', 'username' => 'Ada', 'emails' => ['bob@example.com']]));
        $this->assertSame('bob', $this->find(['idnumber' => null, 'username' => null, 'emails' => ['BOB@example.COM']]));
    }

    public function test_an_address_that_two_share_names_nobody(): void {
        set_config('allowaccountssameemail', 1);
        $this->getDataGenerator()->create_user(['email' => 'ADA@example.com']);

        $this->assertNull($this->find(['emails' => ['ada@example.com']]));
        $this->assertNull($this->find(['emails' => ['bob@example.com', 'ada@example.com']]));
        $this->assertSame('bob', $this->find(['emails' => ['bob@example.com', 'mailto:Bob@example.com']]));
    }

    public function test_an_id_number_that_two_share_names_nobody(): void {
        $this->getDataGenerator()->create_user(['idnumber' => 'E1']);

        $this->assertNull($this->find(['idnumber' => 'E1']));
    }

    public function test_names_are_compared_letter_by_letter_in_every_database(): void {
        set_config('extendedusernamechars', 1);
        $generator = $this->getDataGenerator();
        $generator->create_user(['username' => 'josé', 'idnumber' => 'É7']);
        $generator->create_user(['username' => 'eve', 'idnumber' => 'e2']);

        $this->assertNull($this->find(['username' => 'jose']));
        $this->assertNull($this->find(['idnumber' => 'E7']));
        $this->assertNull($this->find(['idnumber' => 'e1']));
        $this->assertSame('bob', $this->find(['idnumber' => 'E2']));
        $this->assertSame('eve', $this->find(['idnumber' => 'e2']));
        $this->assertSame('josé', $this->find(['username' => 'JOSÉ']));
        $this->assertNull($this->find(['emails' => ['bób@example.com']]));
    }

    public function test_deleted_users_guests_and_users_of_other_sites_are_nobody(): void {
        global $CFG, $DB;

        delete_user($this->bob);
        $remote = $this->getDataGenerator()->create_user(['idnumber' => 'E3']);
        $DB->set_field('user', 'mnethostid', 99, ['id' => $remote->id]);

        $this->assertNull($this->find($this->account((string) $this->bob->id)));
        $this->assertNull($this->find(['emails' => ['bob@example.com']]));
        $this->assertNull($this->find(['idnumber' => 'E3']));
        $this->assertNull($this->find($this->account((string) $CFG->siteguest)));
        $this->assertNull($this->find(['username' => 'guest']));
    }

    /**
     * Users that say nothing, or not what they should.
     *
     * @return array[]
     */
    public static function nobodies(): array {
        return [
            [null], [[]], [['accounts' => [], 'emails' => [], 'idnumber' => '', 'username' => ' ']], [['accounts' => 'ada']],
            [['accounts' => ['ada'], 'emails' => [null, 7, ['x']], 'idnumber' => ['E1'], 'username' => false]],
            [['emails' => ['%@example.com', '']]], [['accounts' => [['home_page' => null, 'name' => 'ada']]]],
        ];
    }

    /**
     * Nobody is found where nobody is named.
     *
     * @dataProvider nobodies
     * @param array|null $user
     */
    public function test_what_names_nobody_finds_nobody(?array $user): void {
        $this->assertNull($this->find($user));
    }

    public function test_the_task_finds_users_who_came_later_and_tells_how_many(): void {
        global $DB;

        $rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        for ($i = 0; $i < 501; $i++) {
            $rows->store($rows->row('records', "a{$i}/sales", ['program' => 'sales'], ['idnumber' => "L{$i}"]));
        }
        $late = $this->getDataGenerator()->create_user(['idnumber' => 'L500']);

        $this->expectOutputString("1 rows found their user\n");
        (new task\match_users())->execute();

        $this->assertEquals($late->id, $DB->get_field('local_lrsbridge_record', 'userid', ['rowkey' => 'a500/sales']));
        $this->assertEquals(500, $DB->count_records('local_lrsbridge_record', ['userid' => null]));
    }

    public function test_rows_of_a_user_who_is_deleted_stay_theirs_unseen_until_somebody_comes_after(): void {
        global $DB;

        $rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $row = $rows->store($rows->row('records', 'a1/sales', ['program' => 'sales'], ['idnumber' => 'E2']));
        delete_user($this->bob);
        $later = $rows->store($rows->row('records', 'a1/sales', ['program' => 'sales', 'attempts' => 2], ['idnumber' => 'E2']));

        $this->assertSame(0, people::match_again());
        $this->assertEquals($this->bob->id, $DB->get_field('local_lrsbridge_record', 'userid', ['attempts' => 2]));
        $this->assertFalse((new records(new visibility()))->has_user((int) $this->bob->id));
        $context = \context_user::instance($this->bob->id);
        $this->assertEquals([$context->id], privacy\provider::get_contexts_for_userid($this->bob->id)->get_contextids());
        $after = $this->getDataGenerator()->create_user(['idnumber' => 'E2']);

        $this->assertSame(1, people::match_again());

        $this->assertEquals($after->id, $DB->get_field('local_lrsbridge_record', 'userid', []));
        $held = ['key' => 'a1/sales', 'version' => $later['version'], 'checksum' => $later['checksum']];
        $this->assertSame([[$held], false], store::held(feed::get('records'), '', 10));
        $this->assertNotSame($row['version'], $later['version']);
    }

    public function test_a_row_that_names_its_user_no_more_is_nobodys(): void {
        global $DB;

        $rows = $this->getDataGenerator()->get_plugin_generator('local_lrsbridge');
        $rows->store($rows->row('records', 'a1/sales', ['program' => 'sales'], ['idnumber' => 'E2']));
        $rows->store($rows->row('records', 'a1/sales', ['program' => 'sales'], ['idnumber' => 'E9']));

        $this->assertNull($DB->get_field('local_lrsbridge_record', 'userid', []));
    }
}
