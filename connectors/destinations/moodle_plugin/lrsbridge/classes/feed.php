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
 * The five feeds that lrs-bridge publishes, and how a row of each is stored here.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class feed {
    /** @var string Identifies what the row is about; a longer text is refused. */
    public const NAME = 'name';

    /** @var string For people to read; shortened to fit its column. */
    public const TEXT = 'text';

    /** @var string A list of texts, stored as one line each. */
    public const LINES = 'lines';

    /** @var string A whole number. */
    public const INT = 'int';

    /** @var string A number with six decimals. */
    public const NUMBER = 'number';

    /**
     * @var string ISO 8601, or a date alone; stored as a Unix time, a date as its noon in UTC, which is that date
     * everywhere.
     */
    public const TIME = 'time';

    /** @var string True or false. */
    public const FLAG = 'flag';

    /** @var int The longest key of a row. */
    public const LONGEST_KEY = 190;

    /** @var float Beyond this a number does not fit its column. */
    private const LARGEST = 1e13;

    /**
     * @var array For each feed its table, whether it is about people, and its columns: name, field of the body, type,
     * length or largest number.
     */
    private const FEEDS = [
        'records' => [
            'table' => 'local_lrsbridge_record',
            'person' => true,
            'columns' => [
                ['program', 'program', self::NAME, 190],
                ['programtitle', 'program_title', self::TEXT, 255],
                ['team', 'team', self::TEXT, 190],
                ['jobrole', 'role', self::TEXT, 190],
                ['enrolledat', 'enrolled_at', self::TIME],
                ['completedat', 'completed_at', self::TIME],
                ['attempts', 'attempts', self::INT],
                ['bestscore', 'best_score', self::NUMBER],
                ['lastactivityat', 'last_activity_at', self::TIME],
                ['rememberedscore', 'remembered_score', self::NUMBER],
                ['highesttier', 'highest_tier', self::INT, 9999],
                ['tiername', 'highest_tier_name', self::TEXT, 255],
                ['usesbefore', 'uses_before', self::INT],
                ['ratebefore', 'rate_before', self::NUMBER],
                ['usessince', 'uses_since', self::INT],
                ['ratesince', 'rate_since', self::NUMBER],
                ['daystofirst', 'days_to_first', self::NUMBER],
                ['matchquality', 'match', self::TEXT, 190],
                ['nextpractice', 'next_practice', self::TEXT],
                ['url', 'url', self::TEXT],
            ],
        ],
        'measures' => [
            'table' => 'local_lrsbridge_measure',
            'person' => true,
            'columns' => [
                ['program', 'program', self::NAME, 190],
                ['programtitle', 'program_title', self::TEXT, 255],
                ['team', 'team', self::TEXT, 190],
                ['metric', 'metric', self::NAME, 190],
                ['metrictitle', 'metric_title', self::TEXT, 255],
                ['unit', 'unit', self::TEXT, 100],
                ['direction', 'direction', self::TEXT, 20],
                ['beforemean', 'before_mean', self::NUMBER],
                ['beforecount', 'before_count', self::INT],
                ['sincemean', 'since_mean', self::NUMBER],
                ['sincecount', 'since_count', self::INT],
            ],
        ],
        'impacts' => [
            'table' => 'local_lrsbridge_impact',
            'person' => false,
            'columns' => [
                ['program', 'program', self::NAME, 190],
                ['programtitle', 'program_title', self::TEXT, 255],
                ['metric', 'metric', self::NAME, 190],
                ['metrictitle', 'metric_title', self::TEXT, 255],
                ['unit', 'unit', self::TEXT, 100],
                ['direction', 'direction', self::TEXT, 20],
                ['horizon', 'horizon', self::TEXT, 100],
                ['verdict', 'verdict', self::TEXT, 100],
                ['sentence', 'sentence', self::TEXT],
                ['estimate', 'estimate', self::NUMBER],
                ['lowbound', 'low', self::NUMBER],
                ['highbound', 'high', self::NUMBER],
                ['grade', 'grade', self::TEXT, 100],
                ['refusals', 'refusals', self::LINES],
                ['people', 'people', self::INT],
                ['teams', 'teams', self::INT],
                ['nextlook', 'next_look', self::TIME],
                ['computedat', 'computed_at', self::TIME],
                ['isprimary', 'primary', self::FLAG],
            ],
        ],
        'readiness' => [
            'table' => 'local_lrsbridge_readiness',
            'person' => true,
            'columns' => [
                ['skill', 'skill', self::NAME, 190],
                ['skilltitle', 'skill_title', self::TEXT, 255],
                ['moment', 'moment', self::TEXT],
                ['program', 'program', self::NAME, 190],
                ['readylevel', 'level', self::NUMBER],
                ['readystate', 'state', self::TEXT, 20],
                ['evidence', 'evidence', self::NUMBER],
                ['lastevidenceat', 'last_evidence_at', self::TIME],
                ['nextpractice', 'next_practice', self::TEXT],
            ],
        ],
        'health' => [
            'table' => 'local_lrsbridge_health',
            'person' => false,
            'columns' => [
                ['kind', 'kind', self::TEXT, 20],
                ['name', 'name', self::NAME, 190],
                ['title', 'title', self::TEXT, 255],
                ['healthstate', 'state', self::TEXT, 20],
                ['message', 'message', self::TEXT],
                ['lastsuccessat', 'last_success_at', self::TIME],
                ['lagseconds', 'lag_seconds', self::INT],
                ['itemcount', 'rows', self::INT],
                ['quarantined', 'quarantined', self::INT],
                ['unmatched', 'unmatched', self::INT],
            ],
        ],
    ];

    /** @var string */
    public $name;

    /** @var string Without Moodle's prefix. */
    public $table;

    /** @var bool Whether its rows are about learners. */
    public $person;

    /** @var array[] Name, field of the body, type, and for names and short texts the length, for small numbers the largest. */
    private $columns;

    /**
     * Use {@see get}.
     *
     * @param string $name
     */
    private function __construct(string $name) {
        $this->name = $name;
        $this->table = self::FEEDS[$name]['table'];
        $this->person = self::FEEDS[$name]['person'];
        $this->columns = self::FEEDS[$name]['columns'];
    }

    /**
     * The names of all feeds.
     *
     * @return string[]
     */
    public static function names(): array {
        return array_keys(self::FEEDS);
    }

    /**
     * The feed of this name, or null if this version of the plugin knows none.
     *
     * @param mixed $name
     * @return self|null
     */
    public static function get($name): ?self {
        return is_string($name) && isset(self::FEEDS[$name]) ? new self($name) : null;
    }

    /**
     * All feeds that are about learners.
     *
     * @return self[]
     */
    public static function about_people(): array {
        return array_values(array_filter(array_map([self::class, 'get'], self::names()), function (self $feed): bool {
            return $feed->person;
        }));
    }

    /**
     * The columns that hold what a row says, each with the value for this body; unknown fields of the body are left
     * alone.
     *
     * @param array $body
     * @return array
     * @throws refused When a value does not fit.
     */
    public function values(array $body): array {
        $values = [];
        foreach ($this->columns as $column) {
            $values[$column[0]] = $this->value($body[$column[1]] ?? null, $column);
        }
        return $values;
    }

    /**
     * The columns with nothing in them, as a row that is gone has them.
     *
     * @return array
     */
    public function no_values(): array {
        return array_fill_keys(array_column($this->columns, 0), null);
    }

    /**
     * What tells whether a stored row was changed here by other hands: a SHA-256 over all that it says and whom it is
     * about.
     *
     * @param \stdClass $row As it is about to be stored, or as it was read.
     * @return string
     */
    public function content_hash(\stdClass $row): string {
        $parts = [$row->rowkey, (int) $row->version, $row->checksum, (int) $row->deleted];
        if ($this->person) {
            $parts[] = $row->learner;
            $parts[] = $row->userid === null ? null : (int) $row->userid;
            $parts[] = $row->userdata;
        }
        foreach ($this->columns as [$name, , $type]) {
            $parts[] = self::canonical($row->$name, $type);
        }
        return hash('sha256', json_encode($parts, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
    }

    /**
     * One value as text, the same before it is stored and when any database gives it back.
     *
     * @param mixed $value
     * @param string $type
     * @return string|null
     */
    private static function canonical($value, string $type): ?string {
        if ($value === null || $value === '') {
            return null;
        }
        switch ($type) {
            case self::NUMBER:
                return self::decimal((float) $value);
            case self::INT:
            case self::TIME:
            case self::FLAG:
                return (string) (int) $value;
            default:
                return (string) $value;
        }
    }

    /**
     * A number as its column holds it.
     *
     * @param float $value
     * @return string
     */
    private static function decimal(float $value): string {
        $text = sprintf('%.6F', $value);
        // Databases know no negative zero.
        return $text === '-0.000000' ? '0.000000' : $text;
    }

    /**
     * What a column holds for a value of the body.
     *
     * @param mixed $value
     * @param array $column
     * @return int|string|null
     * @throws refused
     */
    private function value($value, array $column) {
        [$name, $field, $type] = $column;
        if ($value === null) {
            return null;
        }
        if (is_array($value) !== ($type === self::LINES)) {
            throw new refused(get_string('refusedtype', 'local_lrsbridge', $field));
        }
        switch ($type) {
            case self::LINES:
                $value = implode("\n", array_map('strval', array_filter($value, 'is_scalar')));
                return $value === '' ? null : $value;
            case self::FLAG:
                return $value ? 1 : 0;
            case self::TIME:
                return $this->time($value, $field);
            case self::INT:
            case self::NUMBER:
                if (!is_numeric($value) || is_string($value) || abs($value) > ($column[3] ?? self::LARGEST)) {
                    throw new refused(get_string('refusednumber', 'local_lrsbridge', $field));
                }
                return $type === self::INT ? (int) round($value) : self::decimal((float) $value);
        }
        $value = is_bool($value) ? ($value ? 'true' : 'false') : (string) $value;
        if ($value === '') {
            return null;
        }
        $length = $column[3] ?? null;
        if ($length !== null && \core_text::strlen($value) > $length) {
            if ($type === self::NAME) {
                throw new refused(get_string('refusedlength', 'local_lrsbridge', ['field' => $field, 'length' => $length]));
            }
            $value = \core_text::substr($value, 0, $length - 1) . '…';
        }
        return $value;
    }

    /**
     * A time of the body as a Unix time.
     *
     * @param mixed $value
     * @param string $field
     * @return int
     * @throws refused
     */
    private function time($value, string $field): int {
        $text = is_string($value) ? $value : '';
        if (preg_match('/^\d{4}-\d\d-\d\d$/', $text)) {
            $text .= 'T12:00:00Z';
        }
        if (!preg_match('/^\d{4}-\d\d-\d\dT\d\d:\d\d/', $text)) {
            throw new refused(get_string('refusedtime', 'local_lrsbridge', $field));
        }
        try {
            $time = new \DateTimeImmutable($text, new \DateTimeZone('UTC'));
        } catch (\Exception $e) {
            throw new refused(get_string('refusedtime', 'local_lrsbridge', $field));
        }
        return $time->getTimestamp();
    }
}
