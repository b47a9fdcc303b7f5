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
 * Tries whether rows can come in, in the ways that the settings say, and tells what is wrong.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class connection_test {
    /** @var string All is well. */
    public const OK = 'success';
    /** @var string It works, but. */
    public const WARNING = 'warning';
    /** @var string It does not work. */
    public const ERROR = 'error';

    /** @var array[] Level and message. */
    private $findings = [];

    /** @var callable Makes the {@see bridge}. */
    private $connect;

    /**
     * Of this site.
     *
     * @param callable|null $connect For tests: makes the {@see bridge}.
     */
    public function __construct(?callable $connect = null) {
        $this->connect = $connect ?? function (): bridge {
            return new bridge();
        };
    }

    /**
     * Try, and give what was found.
     *
     * @return array[] Level, one of the constants, and message.
     */
    public function run(): array {
        $this->findings = [];
        $this->try_site();
        if (settings::takes_pushes()) {
            $this->try_push();
        }
        if (settings::pulls() || settings::url() !== '') {
            $this->try_pull();
        }
        return $this->findings;
    }

    /**
     * What holds for both ways.
     */
    private function try_site(): void {
        global $CFG;

        if (empty($CFG->enablecustomreports)) {
            $this->found(self::WARNING, 'testnoreports');
        }
        $cron = (int) get_config('tool_task', 'lastcronstart');
        if ($cron < time() - 15 * MINSECS) {
            $this->found(self::WARNING, 'testnocron', output\texts::time($cron));
        }
    }

    /**
     * Whether lrs-bridge may hand rows over: web services, the service, a token, and its owner's capabilities.
     */
    private function try_push(): void {
        global $CFG, $DB;

        if (empty($CFG->enablewebservices)) {
            $this->found(self::ERROR, 'testnowebservices');
        }
        if (!in_array('rest', explode(',', (string) ($CFG->webserviceprotocols ?? '')), true)) {
            $this->found(self::ERROR, 'testnorest');
        }
        // Any service with the function will do: admins may have made one of their own.
        $services = $DB->get_records_sql(
            "SELECT s.id
               FROM {external_services} s
               JOIN {external_services_functions} f ON f.externalserviceid = s.id
              WHERE f.functionname = :function AND s.enabled = 1",
            ['function' => 'local_lrsbridge_push_rows']
        );
        if (!$services) {
            $this->found(self::ERROR, 'testnoservice');
            return;
        }
        [$in, $params] = $DB->get_in_or_equal(array_keys($services), SQL_PARAMS_NAMED);
        $tokens = $DB->get_records_sql(
            "SELECT t.id, t.userid, t.validuntil
               FROM {external_tokens} t
               JOIN {user} u ON u.id = t.userid AND u.deleted = 0
              WHERE t.externalserviceid {$in}",
            $params
        );
        if (!$tokens) {
            $this->found(self::ERROR, 'testnotoken');
            return;
        }
        $tokens = array_filter($tokens, function (\stdClass $token): bool {
            return !$token->validuntil || $token->validuntil > time();
        });
        if (!$tokens) {
            $this->found(self::ERROR, 'testtokenexpired');
            return;
        }
        $able = array_filter($tokens, function (\stdClass $token): bool {
            $context = \context_system::instance();
            return has_all_capabilities(['local/lrsbridge:push', 'webservice/rest:use'], $context, $token->userid);
        });
        if (!$able) {
            $this->found(self::ERROR, 'testnocapability');
            return;
        }
        if (!array_filter(array_column($this->findings, 'level'), [self::class, 'is_error'])) {
            $this->found(self::OK, 'testpushok', $CFG->wwwroot);
        }
    }

    /**
     * Whether lrs-bridge answers, feed by feed.
     */
    private function try_pull(): void {
        try {
            $bridge = ($this->connect)();
            if (stripos(settings::url(), 'http:') === 0) {
                $this->found(self::WARNING, 'testplain');
            }
            $rows = 0;
            foreach (feed::names() as $feed) {
                $rows += count($bridge->changes($feed, null, 1)['rows']);
            }
        } catch (unreachable $problem) {
            $this->findings[] = ['level' => self::ERROR, 'message' => $problem->getMessage()];
            return;
        }
        $ahead = $bridge->clock_ahead();
        if ($ahead !== null) {
            $this->found(self::WARNING, $ahead > 0 ? 'testclockahead' : 'testclockbehind', format_time(abs($ahead)));
        }
        $this->found(self::OK, 'testpullok', settings::url());
        if (!$rows) {
            $this->found(self::WARNING, 'testnothing');
        }
    }

    /**
     * Note a finding.
     *
     * @param string $level
     * @param string $string
     * @param mixed $a
     */
    private function found(string $level, string $string, $a = null): void {
        $this->findings[] = ['level' => $level, 'message' => get_string($string, 'local_lrsbridge', $a)];
    }

    /**
     * Whether a level is that of an error.
     *
     * @param string $level
     * @return bool
     */
    private static function is_error(string $level): bool {
        return $level === self::ERROR;
    }
}
