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
 * Rows as lrs-bridge sent them: the only place that writes them.
 *
 * A row is known by its feed and key, and of two versions the higher one stands. What is deleted leaves its key and
 * version behind,
 * so that an older version that comes late does not bring it back. Writing is done by one process at a time, and what
 * is written
 * together is there together or not at all.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class store {
    /** @var string Stored, and its user known, or about nobody. */
    public const STORED = 'stored';
    /** @var string This version, or a later one, was here already. */
    public const UNCHANGED = 'unchanged';
    /** @var string Gone, now or before. */
    public const DELETED = 'deleted';
    /** @var string Stored, but nobody here is its user yet. */
    public const UNMATCHED = 'unmatched';
    /** @var string Not stored; trying again changes nothing. */
    public const REFUSED = 'refused';

    /** @var int The most rows that are taken at once. */
    public const MOST = 1000;

    /** @var int Seconds that a process waits for its turn to write. */
    private const PATIENCE = 60;

    /** @var people */
    private $people;

    /** @var array Row as stored, by table and key; `null` marks that it was looked for and is not there. */
    private $held = [];

    /** @var array Learners whose data were deleted here, as keys. */
    private $erased = [];

    /** @var array IRIs of courses, by program. */
    private $courses = [];

    /** @var int|null The round in which the rows are pulled; null when they are pushed. */
    private $round;

    /** @var int[][] By feed, ids of rows that were given again in this round and are as they were. */
    private $again = [];

    /**
     * Use {@see take}.
     *
     * @param int|null $round
     */
    private function __construct(?int $round) {
        $this->people = new people();
        $this->round = $round;
    }

    /**
     * Take rows, at most {@see MOST}, and give an answer for each, in their order: key, outcome, and why.
     *
     * @param array $rows Each with feed, key, version, checksum, deleted, user, body.
     * @param callable|null $and What is to be done in the same transaction; it is handed the answers.
     * @param int|null $round In which they are pulled: see {@see drop}.
     * @return array[]
     * @throws \moodle_exception When others write for too long.
     */
    public static function take(array $rows, ?callable $and = null, ?int $round = null): array {
        return self::locked(function () use ($rows, $and, $round): array {
            global $DB;

            $transaction = $DB->start_delegated_transaction();
            $answers = (new self($round))->take_all(array_values($rows));
            if ($and !== null) {
                $and($answers);
            }
            $transaction->allow_commit();
            return $answers;
        });
    }

    /**
     * Drop rows that were pulled once, but not in this round, in which all there are were given. Rows that were only
     * pushed stay.
     *
     * @param feed $feed
     * @param int $round
     */
    public static function drop(feed $feed, int $round): void {
        global $DB;

        $DB->delete_records_select($feed->table, 'pullround < :round', ['round' => $round]);
    }

    /**
     * Do something while nobody else writes.
     *
     * @param callable $deed
     * @return mixed What it gives.
     * @throws \moodle_exception When others write for too long.
     */
    public static function locked(callable $deed) {
        $lock = \core\lock\lock_config::get_lock_factory('local_lrsbridge')->get_lock('rows', self::PATIENCE);
        if (!$lock) {
            throw new \moodle_exception('busy', 'local_lrsbridge');
        }
        try {
            return $deed();
        } finally {
            $lock->release();
        }
    }

    /**
     * What is held of a feed, by key: key, version, and the checksum as it was sent, or `changed` where other hands
     * changed the row.
     *
     * @param feed $feed
     * @param string $after Give keys after this one.
     * @param int $limit
     * @return array The rows, and whether there are more.
     */
    public static function held(feed $feed, string $after, int $limit): array {
        global $DB;

        $found = $DB->get_records_select(
            $feed->table,
            'deleted = 0 AND rowkey > :after',
            ['after' => $after],
            'rowkey',
            '*',
            0,
            $limit + 1
        );
        $rows = array_map(function (\stdClass $row) use ($feed): array {
            return ['key' => $row->rowkey, 'version' => (int) $row->version, 'checksum' => self::seal($feed, $row)];
        }, array_slice(array_values($found), 0, $limit));
        return [$rows, count($found) > $limit];
    }

    /**
     * Forget all rows of a learner for good, and refuse them from now on.
     *
     * @param int $userid
     */
    public static function erase_user(int $userid): void {
        self::locked(function () use ($userid): void {
            global $DB;

            $transaction = $DB->start_delegated_transaction();
            $learners = [];
            foreach (feed::about_people() as $feed) {
                $learners += array_flip($DB->get_fieldset_select($feed->table, 'DISTINCT learner', 'userid = ?', [$userid]));
            }
            foreach (array_keys($learners) as $learner) {
                $learner = (string) $learner;
                if (!$DB->record_exists('local_lrsbridge_erased', ['learner' => $learner])) {
                    $DB->insert_record('local_lrsbridge_erased', ['learner' => $learner, 'timecreated' => time()]);
                }
                foreach (feed::about_people() as $feed) {
                    $DB->delete_records($feed->table, ['learner' => $learner]);
                }
            }
            foreach (feed::about_people() as $feed) {
                $DB->delete_records($feed->table, ['userid' => $userid]);
            }
            $transaction->allow_commit();
        });
    }

    /**
     * Forget all that was received, and where pulling had come to, as when lrs-bridge was set up anew. Who was erased
     * stays so.
     */
    public static function forget_all(): void {
        self::locked(function (): void {
            global $DB;

            $transaction = $DB->start_delegated_transaction();
            foreach (feed::names() as $name) {
                $DB->delete_records(feed::get($name)->table);
            }
            $DB->delete_records('local_lrsbridge_course');
            $DB->delete_records('local_lrsbridge_exchange');
            $transaction->allow_commit();
        });
    }

    /**
     * How many rows there are: held, gone, and without a user, by feed.
     *
     * @return array[]
     */
    public static function counts(): array {
        global $DB;

        $counts = [];
        foreach (feed::names() as $name) {
            $feed = feed::get($name);
            $counts[$name] = [
                'held' => $DB->count_records($feed->table, ['deleted' => 0]),
                'gone' => $DB->count_records($feed->table, ['deleted' => 1]),
                'unmatched' => $feed->person ? $DB->count_records($feed->table, ['deleted' => 0, 'userid' => null]) : 0,
            ];
        }
        return $counts;
    }

    /**
     * The checksum that a row came with, or `changed`.
     *
     * @param feed $feed
     * @param \stdClass $row
     * @return string
     */
    private static function seal(feed $feed, \stdClass $row): string {
        return $row->contenthash === $feed->content_hash($row) ? $row->checksum : 'changed';
    }

    /**
     * Take rows, each on its own.
     *
     * @param array $rows
     * @return array[]
     */
    private function take_all(array $rows): array {
        global $DB;

        $this->look_up($rows);
        $answers = [];
        foreach ($rows as $row) {
            $key = is_array($row) && is_scalar($row['key'] ?? null) ? (string) $row['key'] : '';
            try {
                $answers[] = ['key' => $key, 'outcome' => $this->take_one($row), 'message' => null];
            } catch (refused $refused) {
                $answers[] = ['key' => $key, 'outcome' => self::REFUSED, 'message' => $refused->getMessage()];
            }
        }
        foreach ($this->courses as $program => $iris) {
            $this->link_courses((string) $program, $iris);
        }
        foreach ($this->again as $name => $ids) {
            [$in, $params] = $DB->get_in_or_equal($ids);
            $DB->set_field_select(feed::get($name)->table, 'pullround', $this->round, "id {$in}", $params);
        }
        return $answers;
    }

    /**
     * Read what is stored under the keys of these rows, in as few queries as there are feeds.
     *
     * @param array $rows
     */
    private function look_up(array $rows): void {
        global $DB;

        $keys = [];
        $learners = [];
        foreach ($rows as $row) {
            $feed = is_array($row) ? feed::get($row['feed'] ?? null) : null;
            if ($feed && is_string($row['key'] ?? null)) {
                $keys[$feed->name][$row['key']] = $row['key'];
                $learners[self::learner($row['key'])] = self::learner($row['key']);
            }
        }
        foreach ($keys as $name => $ofone) {
            $feed = feed::get($name);
            foreach ($DB->get_records_list($feed->table, 'rowkey', array_values($ofone)) as $row) {
                $this->held[$name][$row->rowkey] = $row;
                $this->held[$name . ' in any case'][\core_text::strtolower($row->rowkey)] = $row->rowkey;
            }
        }
        foreach ($DB->get_records_list('local_lrsbridge_erased', 'learner', array_values($learners)) as $row) {
            $this->erased[$row->learner] = true;
        }
    }

    /**
     * Take one row.
     *
     * @param mixed $given
     * @return string The outcome.
     * @throws refused
     */
    private function take_one($given): string {
        [$feed, $row] = $this->read($given);
        $stored = $this->stored($feed, $row->rowkey);
        $earlier = $stored !== null && $stored->pullround !== null && $this->round !== null
            && (int) $stored->pullround < $this->round;
        if ($stored !== null && $this->round !== null && (int) $stored->pullround !== $this->round) {
            $this->again[$feed->name][$stored->id] = $stored->id;
        }
        // What other hands changed gives way to any version, its own number being nothing to go by. So does a version that
        // was pulled before pulling began anew, since lrs-bridge may have been restored to an earlier day.
        if ($stored !== null && self::seal($feed, $stored) === $stored->checksum) {
            if (!$earlier && (int) $stored->version > $row->version) {
                return self::UNCHANGED;
            }
            // The same version may be gone for a key that was narrowed, and back when it was widened.
            $same = (int) $stored->version === $row->version && $stored->checksum === $row->checksum
                && (int) $stored->deleted === $row->deleted;
            $found = $feed->person && $stored->userid === null && $row->userid !== null;
            if ($same && !$found) {
                return $this->outcome($feed, $stored, self::UNCHANGED);
            }
        }
        if ($feed->person && isset($this->erased[$row->learner])) {
            if ($row->deleted) {
                return self::DELETED;
            }
            throw new refused(get_string('refusederased', 'local_lrsbridge'));
        }
        if ($feed->person && !$row->deleted && $row->userid === null && $stored && people::was_deleted($stored->userid)) {
            $row->userid = (int) $stored->userid;
        }
        $this->write($feed, $row, $stored);
        if ($feed->name === 'records' && !$row->deleted && $row->program !== null) {
            $this->courses[$row->program] = array_filter((array) ($given['body']['courses'] ?? []), 'is_string');
        }
        return $this->outcome($feed, $row, self::STORED);
    }

    /**
     * The outcome for a row as it is now stored.
     *
     * @param feed $feed
     * @param \stdClass $row
     * @param string $otherwise
     * @return string
     */
    private function outcome(feed $feed, \stdClass $row, string $otherwise): string {
        if ($row->deleted) {
            return self::DELETED;
        }
        return $feed->person && $row->userid === null ? self::UNMATCHED : $otherwise;
    }

    /**
     * A given row as it is to be stored, and its feed.
     *
     * @param mixed $given
     * @return array
     * @throws refused
     */
    private function read($given): array {
        if (!is_array($given)) {
            throw new refused(get_string('refusedrow', 'local_lrsbridge'));
        }
        $feed = feed::get($given['feed'] ?? null);
        if (!$feed) {
            throw new refused(get_string('refusedfeed', 'local_lrsbridge'));
        }
        $key = $given['key'] ?? null;
        if (!is_string($key) || !preg_match('/^(?! )[\x20-\x7e]{1,' . feed::LONGEST_KEY . '}(?<! )$/D', $key)) {
            throw new refused(get_string('refusedkey', 'local_lrsbridge', feed::LONGEST_KEY));
        }
        $version = $given['version'] ?? null;
        if (!is_int($version) || $version < 1) {
            throw new refused(get_string('refusedversion', 'local_lrsbridge'));
        }
        $checksum = $given['checksum'] ?? null;
        if (!is_string($checksum) || !preg_match('/^[0-9a-f]{64}$/D', $checksum)) {
            throw new refused(get_string('refusedchecksum', 'local_lrsbridge'));
        }
        $deleted = !empty($given['deleted']);
        $user = fix_utf8($given['user'] ?? null);
        $body = fix_utf8($given['body'] ?? []);
        if (!is_array($body) || !($user === null || is_array($user))) {
            throw new refused(get_string('refusedbody', 'local_lrsbridge'));
        }
        $row = [
            'rowkey' => $key,
            'version' => $version,
            'checksum' => $checksum,
            'deleted' => $deleted ? 1 : 0,
        ];
        if ($feed->person) {
            $row['learner'] = self::learner($key);
            $row['userid'] = $deleted ? null : $this->people->find($user);
            $row['userdata'] = $deleted || !$user ? null : json_encode($user, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        }
        $row += $deleted ? $feed->no_values() : $feed->values($body);
        return [$feed, (object) $row];
    }

    /**
     * Write a row in the place of the one that is stored, if there is one.
     *
     * @param feed $feed
     * @param \stdClass $row
     * @param \stdClass|null $stored
     */
    private function write(feed $feed, \stdClass $row, ?\stdClass $stored): void {
        global $DB;

        $row->contenthash = $feed->content_hash($row);
        $row->timemodified = time();
        $row->pullround = $this->round ?? ($stored === null ? null : $stored->pullround);
        if ($stored === null) {
            $row->id = $DB->insert_record($feed->table, $row);
        } else {
            $row->id = $stored->id;
            $DB->update_record($feed->table, $row);
        }
        $this->held[$feed->name][$row->rowkey] = $row;
        $this->held[$feed->name . ' in any case'][\core_text::strtolower($row->rowkey)] = $row->rowkey;
    }

    /**
     * The row that is stored under a key.
     *
     * @param feed $feed
     * @param string $key
     * @return \stdClass|null
     * @throws refused When the database takes this key and that of another row for one.
     */
    private function stored(feed $feed, string $key): ?\stdClass {
        global $DB;

        if (isset($this->held[$feed->name][$key])) {
            return $this->held[$feed->name][$key];
        }
        $other = $this->held[$feed->name . ' in any case'][\core_text::strtolower($key)] ?? null;
        if ($other !== null && $DB->get_dbfamily() !== 'postgres') {
            throw new refused(get_string('refusedcase', 'local_lrsbridge', $other));
        }
        return null;
    }

    /**
     * The learner whom a key is about: what stands before its first slash.
     *
     * @param string $key
     * @return string
     */
    private static function learner(string $key): string {
        return explode('/', $key, 2)[0];
    }

    /**
     * Note which courses of this site belong to a program.
     *
     * @param string $program
     * @param string[] $iris
     */
    private function link_courses(string $program, array $iris): void {
        global $DB;

        $wanted = array_unique(array_filter(array_map([site::class, 'course_of'], $iris)));
        $linked = $DB->get_records_menu('local_lrsbridge_course', ['program' => $program], '', 'id, courseid');
        foreach (array_diff($wanted, $linked) as $courseid) {
            $DB->insert_record('local_lrsbridge_course', ['program' => $program, 'courseid' => $courseid]);
        }
        foreach (array_keys(array_diff($linked, $wanted)) as $id) {
            $DB->delete_records('local_lrsbridge_course', ['id' => $id]);
        }
    }
}
