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
 * Which user of this site a learner of lrs-bridge is.
 *
 * The first of these that names exactly one user: an account of this site (its name is the user id, or the username),
 * the ID number,
 * the username, the e-mail address in any case. Where one of them names more than one, it names nobody. Users that are
 * deleted,
 * guests, and users of other sites are nobody.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class people {
    /** @var int Rows that are looked up at a time. */
    private const PIECE = 500;

    /** @var array What was found before, by the text of the user: one person has many rows in a batch. */
    private $found = [];

    /**
     * The id of the user that is meant, or null if that is nobody here.
     *
     * @param array|null $user `accounts` (`home_page`, `name`), `emails`, `idnumber`, `username`, `name`.
     * @return int|null
     */
    public function find(?array $user): ?int {
        if (!$user) {
            return null;
        }
        $text = json_encode($user);
        if (!array_key_exists($text, $this->found)) {
            $this->found[$text] = $this->search($user);
        }
        return $this->found[$text];
    }

    /**
     * Look rows without a user up again, and those whose user was deleted.
     *
     * @return int How many found their user now.
     */
    public static function match_again(): int {
        $matched = 0;
        $people = new self();
        foreach (feed::about_people() as $feed) {
            $after = 0;
            do {
                // The lock is given back between the pieces, so that pushes need not wait for long.
                [$found, $after] = store::locked(function () use ($people, $feed, $after): array {
                    return self::match_piece($people, $feed, $after);
                });
                $matched += $found;
            } while ($after !== null);
        }
        return $matched;
    }

    /**
     * Whether somebody was a user of this site and is no more.
     *
     * @param int|string|null $userid
     * @return bool
     */
    public static function was_deleted($userid): bool {
        global $DB;

        return $userid !== null && $DB->record_exists('user', ['id' => $userid, 'deleted' => 1]);
    }

    /**
     * Look up rows of one feed that have no user. Those of a user who was deleted stay theirs until they are somebody
     * else's, so that a request to delete their data finds them.
     *
     * @param self $people
     * @param feed $feed
     * @param int $after The id of the last row that was looked at.
     * @return array How many found their user, and the id of the last row, null if there are no more.
     */
    private static function match_piece(self $people, feed $feed, int $after): array {
        global $DB;

        $rows = $DB->get_records_sql(
            "SELECT r.*
               FROM {" . $feed->table . "} r
          LEFT JOIN {user} u ON u.id = r.userid AND u.deleted = 0
              WHERE r.id > :after AND r.deleted = 0 AND u.id IS NULL
           ORDER BY r.id",
            ['after' => $after],
            0,
            self::PIECE
        );
        $matched = 0;
        foreach ($rows as $row) {
            $userid = $people->find(json_decode($row->userdata ?? '', true));
            if ($userid !== null) {
                self::give($feed, $row, $userid);
                $matched++;
            }
        }
        return [$matched, count($rows) < self::PIECE ? null : (int) array_key_last($rows)];
    }

    /**
     * Say who a stored row is about. A row that other hands changed stays marked as such.
     *
     * @param feed $feed
     * @param \stdClass $row
     * @param int $userid
     */
    private static function give(feed $feed, \stdClass $row, int $userid): void {
        global $DB;

        $intact = $row->contenthash === $feed->content_hash($row);
        $row->userid = $userid;
        $change = ['id' => $row->id, 'userid' => $userid, 'timemodified' => time()];
        if ($intact) {
            $change['contenthash'] = $feed->content_hash($row);
        }
        $DB->update_record($feed->table, (object) $change);
    }

    /**
     * Look for the user.
     *
     * @param array $user
     * @return int|null
     */
    private function search(array $user): ?int {
        $emails = array_filter((array) ($user['emails'] ?? []), 'is_string');
        $ways = [
            $this->of_accounts((array) ($user['accounts'] ?? [])),
            $this->with('idnumber', $user['idnumber'] ?? null),
            $this->with('username', $user['username'] ?? null),
            array_merge([], ...array_map([$this, 'with_email'], array_values($emails))),
        ];
        foreach ($ways as $ids) {
            $ids = array_unique($ids);
            if (count($ids) === 1) {
                return (int) reset($ids);
            }
        }
        return null;
    }

    /**
     * Users whom accounts of this site name: by their id, as logstore_xapi has it by default, or by their username.
     *
     * @param array $accounts
     * @return int[]
     */
    private function of_accounts(array $accounts): array {
        $ids = [];
        foreach ($accounts as $account) {
            $name = is_array($account) ? ($account['name'] ?? null) : null;
            if (!is_scalar($name) || !is_string($account['home_page'] ?? null)) {
                continue;
            }
            $name = (string) $name;
            if (site::is_this($account['home_page'])) {
                if (preg_match('/^[1-9]\d{0,9}$/', $name)) {
                    $ids = array_merge($ids, $this->with('id', $name));
                }
                $ids = array_merge($ids, $this->with('username', $name));
            } else if (site::is_homepage($account['home_page'])) {
                $ids = array_merge($ids, $this->with('username', $name));
            }
        }
        return $ids;
    }

    /**
     * Users of this site with this value in this field.
     *
     * @param string $field
     * @param mixed $value
     * @return int[]
     */
    private function with(string $field, $value): array {
        $value = is_scalar($value) ? trim((string) $value) : '';
        if ($value === '') {
            return [];
        }
        if ($field === 'username') {
            $value = \core_text::strtolower($value);
        }
        // MySQL and MariaDB hold E1 and é1 for the same; these name other people.
        return $this->ids("{$field} = :value", $value, $field === 'id' ? null : $field);
    }

    /**
     * Users of this site with this e-mail address, whatever its case.
     *
     * @param string $email
     * @return int[]
     */
    private function with_email(string $email): array {
        global $DB;

        $email = preg_replace('/^mailto:/i', '', trim($email));
        return $email === '' ? [] : $this->ids($DB->sql_equal('email', ':value', false, true), $email);
    }

    /**
     * Living users of this site for whom a condition holds.
     *
     * @param string $condition
     * @param string $value
     * @param string|null $exactly The field that must be the value in every letter, whatever the database compares.
     * @return int[]
     */
    private function ids(string $condition, string $value, ?string $exactly = null): array {
        global $CFG, $DB;

        $users = $DB->get_records_select(
            'user',
            "{$condition} AND deleted = 0 AND mnethostid = :mnethostid AND id <> :guest",
            ['value' => $value, 'mnethostid' => $CFG->mnet_localhost_id, 'guest' => $CFG->siteguest],
            '',
            'id, username, idnumber'
        );
        return array_keys(array_filter($users, function (\stdClass $user) use ($value, $exactly): bool {
            return $exactly === null || trim($user->$exactly) === $value;
        }));
    }
}
