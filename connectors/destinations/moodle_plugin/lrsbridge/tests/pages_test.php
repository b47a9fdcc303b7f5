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

use core_user\output\myprofile\tree;
use local_lrsbridge\output\health_page;
use local_lrsbridge\output\people_page;
use local_lrsbridge\output\user_page;

/**
 * What pages show, and where the links to them hang.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_lrsbridge\output\user_page
 * @covers     \local_lrsbridge\output\people_page
 * @covers     \local_lrsbridge\output\health_page
 * @covers     \local_lrsbridge\output\texts
 * @covers     ::local_lrsbridge_myprofile_navigation
 * @covers     ::local_lrsbridge_extend_navigation_course
 */
final class pages_test extends \advanced_testcase {
    /** @var \local_lrsbridge_generator */
    private $rows;

    /** @var \stdClass */
    private $ada;

    /** @var \stdClass */
    private $course;

    protected function setUp(): void {
        global $PAGE;

        parent::setUp();
        $this->resetAfterTest();
        $generator = $this->getDataGenerator();
        $this->rows = $generator->get_plugin_generator('local_lrsbridge');
        $this->ada = $generator->create_user(['firstname' => 'Ada', 'lastname' => 'Abel']);
        $this->course = $generator->create_course(['fullname' => 'Selling']);
        $generator->enrol_user($this->ada->id, $this->course->id, 'student');
        $this->rows->create_record($this->ada, 'sales', [$this->course->id], [
            'program_title' => 'Sales & <i>more</i>', 'best_score' => 0.8333, 'rate_before' => 0.25, 'rate_since' => null,
            'next_practice' => '<script>alert(1)</script> Ask {{again}}.', 'url' => 'https://bridge.example.com/reports/sales',
            'completed_at' => '2026-10-06T10:00:00Z',
        ]);
        $this->rows->create_about('measures', $this->ada, 'sales/won', [
            'program' => 'sales', 'metric' => 'won', 'metric_title' => 'Deals won', 'unit' => '%', 'direction' => 'up',
            'before_mean' => 25.5, 'before_count' => 12,
        ]);
        $this->rows->create_about('readiness', $this->ada, 'sales/objections', [
            'skill' => 'objections', 'skill_title' => 'Objections', 'program' => 'sales', 'state' => 'not yet', 'level' => 0.4,
        ]);
        $PAGE->set_url('/local/lrsbridge/user.php');
        $PAGE->set_context(\context_system::instance());
    }

    /**
     * A page as HTML.
     *
     * @param string $template
     * @param \templatable $page
     * @return string
     */
    private function html(string $template, \templatable $page): string {
        global $PAGE;

        $output = $PAGE->get_renderer('core');
        return $output->render_from_template("local_lrsbridge/{$template}", $page->export_for_template($output));
    }

    public function test_the_own_page_shows_the_record_and_what_to_practise_next(): void {
        $this->setUser($this->ada);

        $html = $this->html('user_page', new user_page(new records(new visibility()), (int) $this->ada->id));

        $this->assertStringContainsString('Sales &amp; &lt;i&gt;more&lt;/i&gt;</h2>', $html);
        $this->assertStringContainsString('&lt;script&gt;alert(1)&lt;/script&gt; Ask {{again}}.', $html);
        $this->assertStringNotContainsString('<script', $html);
        $this->assertMatchesRegularExpression('~<dt[^>]*>Best score</dt>\s*<dd[^>]*>83.3%~', $html);
        $this->assertMatchesRegularExpression('~<dt[^>]*>Use on the job since</dt>\s*<dd[^>]*>–~', $html);
        $this->assertMatchesRegularExpression('~<th scope="row">Deals won</th>\s*<td>25.5 %</td>\s*<td>12</td>~', $html);
        $this->assertMatchesRegularExpression('~<th scope="row">Objections</th>~', $html);
        $this->assertStringContainsString('Not yet', $html);
        $this->assertStringContainsString('href="https://bridge.example.com/reports/sales"', $html);
    }

    public function test_every_table_has_a_caption_and_every_heading_cell_a_scope(): void {
        $this->setAdminUser();
        $records = new records(new visibility());
        $pages = [
            ['user_page', new user_page($records, (int) $this->ada->id)],
            ['people_page', new people_page('All', $records->of_users('records', [$this->ada->id]))],
            ['health_page', new health_page()],
        ];
        foreach ($pages as [$template, $page]) {
            $html = $this->html($template, $page);
            $this->assertSame(substr_count($html, '<table'), substr_count($html, '<caption>'));
            $this->assertGreaterThan(0, substr_count($html, '<table'));
            $this->assertSame(preg_match_all('~<th\b~', $html), preg_match_all('~<th scope="(row|col)">~', $html));
            $this->assertStringNotContainsString('[[', $html);
        }
    }

    public function test_whoever_may_not_see_somebody_gets_an_empty_page(): void {
        $this->setUser($this->getDataGenerator()->create_user());
        $records = new records(new visibility());

        $html = $this->html('user_page', new user_page($records, (int) $this->ada->id));

        $this->assertStringContainsString('There is no record yet', $html);
        $this->assertStringNotContainsString('Sales', $html);
        $this->assertFalse($records->has_user((int) $this->ada->id));
    }

    public function test_an_address_that_is_no_web_page_is_no_link(): void {
        $this->rows->create_record($this->ada, 'sales', [], ['url' => 'javascript:alert(1)']);
        $this->setUser($this->ada);

        $html = $this->html('user_page', new user_page(new records(new visibility()), (int) $this->ada->id));

        $this->assertStringNotContainsString('javascript:', $html);
    }

    public function test_the_course_page_shows_learners_and_results(): void {
        $this->rows->store($this->rows->row('impacts', 'sales/won', [
            'program' => 'sales', 'program_title' => 'Sales', 'metric' => 'won', 'metric_title' => 'Deals won',
            'verdict' => 'better', 'sentence' => 'Six more in a hundred.', 'primary' => true, 'next_look' => '2027-01-31',
        ]));
        $this->rows->store($this->rows->row('impacts', 'other/won', ['program' => 'other', 'metric' => 'won', 'primary' => true]));
        $teacher = $this->getDataGenerator()->create_and_enrol($this->course, 'editingteacher');
        $this->setUser($teacher);
        $records = new records(new visibility());
        [$rows, $count] = $records->of_course((int) $this->course->id, 0, 50);

        $html = $this->html('people_page', new people_page('X', $rows, $records->impacts_of_course((int) $this->course->id)));

        $this->assertSame(1, $count);
        $this->assertStringContainsString('>Ada Abel</a>', $html);
        $this->assertStringContainsString('Sales, Deals won: better.</strong> Six more in a hundred.', $html);
        $this->assertStringContainsString('Next look: 31 January 2027.', $html);
        $this->assertSame(1, substr_count($html, '<li>'));
    }

    public function test_the_health_page_names_strangers_and_what_failed(): void {
        $this->setAdminUser();
        $this->rows->store($this->rows->row('records', 'x/sales', ['program' => 'sales'], [
            'accounts' => [['home_page' => 'https://www.example.com/moodle', 'name' => '999']],
            'emails' => ['zoe@example.com'], 'idnumber' => null, 'username' => null, 'name' => 'Zoë Zimt',
        ]));
        exchanges::note_failure(exchanges::PULL, 'records', 'It said <no>.');

        $html = $this->html('health_page', new health_page());

        $this->assertMatchesRegularExpression('~Zoë Zimt</th>\s*<td>999, zoe@example.com</td>~', $html);
        $this->assertStringContainsString('It said &lt;no&gt;.', $html);
        $this->assertStringNotContainsString('Ada Abel', $html);
    }

    /**
     * Keys of the links that a profile has.
     *
     * @param \stdClass $user
     * @param bool $own
     * @return string[]
     */
    private function links(\stdClass $user, bool $own): array {
        global $CFG;

        require_once($CFG->dirroot . '/local/lrsbridge/lib.php');
        $tree = new tree();
        local_lrsbridge_myprofile_navigation($tree, $user, $own, null);
        $nodes = new \ReflectionProperty($tree, 'nodes');
        $nodes->setAccessible(true);
        return array_keys($nodes->getValue($tree));
    }

    public function test_profiles_link_to_records_for_those_who_may_see_them(): void {
        $leader = $this->getDataGenerator()->create_user();
        $role = $this->getDataGenerator()->create_role();
        assign_capability('local/lrsbridge:viewteam', CAP_ALLOW, $role, \context_system::instance());
        role_assign($role, $leader->id, \context_user::instance($this->ada->id));

        $this->setUser($this->ada);
        $this->assertSame(['local_lrsbridge_record'], $this->links($this->ada, true));
        $this->assertSame([], $this->links($leader, false));
        $this->setUser($leader);
        $this->assertSame(['local_lrsbridge_record', 'local_lrsbridge_team'], $this->links($leader, true));
        $this->assertSame(['local_lrsbridge_record'], $this->links($this->ada, false));
        $this->setGuestUser();
        $this->assertSame([], $this->links($this->ada, false));
    }

    public function test_courses_link_to_records_for_those_who_may_see_them(): void {
        global $CFG;

        require_once($CFG->dirroot . '/local/lrsbridge/lib.php');
        $generator = $this->getDataGenerator();
        $other = $generator->create_course();
        $teacher = $generator->create_and_enrol($this->course, 'editingteacher');
        $generator->enrol_user($teacher->id, $other->id, 'editingteacher');
        $links = function (\stdClass $user, \stdClass $course): int {
            $this->setUser($user);
            $node = new \navigation_node('course');
            local_lrsbridge_extend_navigation_course($node, $course, \context_course::instance($course->id));
            return $node->children->count();
        };

        $this->assertSame(1, $links($teacher, $this->course));
        $this->assertSame(0, $links($teacher, $other));
        $this->assertSame(0, $links($this->ada, $this->course));
    }
}
