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

namespace local_lrsbridge\reportbuilder\local\entities;

use core_reportbuilder\local\entities\base;
use core_reportbuilder\local\filters\boolean_select;
use core_reportbuilder\local\filters\date;
use core_reportbuilder\local\filters\number;
use core_reportbuilder\local\filters\select;
use core_reportbuilder\local\filters\text;
use core_reportbuilder\local\helpers\format;
use core_reportbuilder\local\report\column;
use core_reportbuilder\local\report\filter;
use lang_string;
use local_lrsbridge\feed;

/**
 * What the rows of one feed offer to custom reports.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class rows extends base {
    /** @var string A short text. */
    protected const TEXT = 'text';
    /** @var string A short text of which there are few; filtered by choosing. */
    protected const CHOICE = 'choice';
    /** @var string A text of any length. */
    protected const LONG = 'long';
    /** @var string A whole number. */
    protected const INT = 'int';
    /** @var string A number. */
    protected const NUMBER = 'number';
    /** @var string A share from 0 to 1, shown in percent. */
    protected const PERCENT = 'percent';
    /** @var string A point in time. */
    protected const TIME = 'time';
    /** @var string A date. */
    protected const DATE = 'date';
    /** @var string Yes or no. */
    protected const FLAG = 'flag';

    /**
     * Which feed it is.
     *
     * @return feed
     */
    abstract protected static function feed(): feed;

    /**
     * What there is to see, in the order in which it is offered: its name, which is that of a column of the table and
     * of the string
     * that is its title, and one of the constants.
     *
     * @return string[]
     */
    abstract protected static function elements(): array;

    /**
     * The condition that holds for rows that the user at work may see.
     *
     * @param string $alias
     * @return array SQL and parameters.
     */
    abstract public static function visible(string $alias): array;

    /**
     * Tables and their aliases, as Moodle up to 4.3 asks for them.
     *
     * @return string[]
     */
    protected function get_default_table_aliases(): array {
        return [static::feed()->table => 'lrsb' . static::feed()->name];
    }

    /**
     * Tables, as Moodle from 4.4 on asks for them.
     *
     * @return string[]
     */
    protected function get_default_tables(): array {
        return [static::feed()->table];
    }

    /**
     * Title in lists of columns.
     *
     * @return lang_string
     */
    protected function get_default_entity_title(): lang_string {
        return new lang_string('feed' . static::feed()->name, 'local_lrsbridge');
    }

    /**
     * Add all columns and filters.
     *
     * @return base
     */
    public function initialise(): base {
        foreach (static::elements() as $name => $kind) {
            $this->add_column($this->column($name, $kind));
            $filter = $this->filter($name, $kind);
            $this->add_filter($filter);
            $this->add_condition($filter);
        }
        return $this;
    }

    /**
     * The name by which the table is known in the query.
     *
     * @return string
     */
    public function alias(): string {
        return $this->get_table_alias(static::feed()->table);
    }

    /**
     * A column.
     *
     * @param string $name
     * @param string $kind
     * @return column
     */
    private function column(string $name, string $kind): column {
        $types = [
            self::LONG => column::TYPE_LONGTEXT,
            self::INT => column::TYPE_INTEGER,
            self::NUMBER => column::TYPE_FLOAT,
            self::PERCENT => column::TYPE_FLOAT,
            self::TIME => column::TYPE_TIMESTAMP,
            self::DATE => column::TYPE_TIMESTAMP,
            self::FLAG => column::TYPE_BOOLEAN,
        ];
        $column = (new column($name, self::title($name), $this->get_entity_name()))
            ->add_joins($this->get_joins())
            ->set_type($types[$kind] ?? column::TYPE_TEXT)
            ->add_field($this->field($name, $kind, true), $name)
            ->set_is_sortable($kind !== self::LONG);
        switch ($kind) {
            case self::TIME:
                return $column->add_callback([format::class, 'userdate']);
            case self::DATE:
                return $column->add_callback([format::class, 'userdate'], get_string('strftimedate', 'langconfig'));
            case self::FLAG:
                return $column->add_callback([format::class, 'boolean_as_text']);
            case self::NUMBER:
            case self::PERCENT:
                return $column->add_callback([self::class, 'decimal'], $kind === self::PERCENT ? 1 : 2);
            case self::INT:
                return $column;
        }
        return $column->add_callback([self::class, 'plain']);
    }

    /**
     * A filter, which is a condition too.
     *
     * @param string $name
     * @param string $kind
     * @return filter
     */
    private function filter(string $name, string $kind): filter {
        $classes = [
            self::CHOICE => select::class,
            self::INT => number::class,
            self::NUMBER => number::class,
            self::PERCENT => number::class,
            self::TIME => date::class,
            self::DATE => date::class,
            self::FLAG => boolean_select::class,
        ];
        $filter = new filter(
            $classes[$kind] ?? text::class,
            $name,
            self::title($name),
            $this->get_entity_name(),
            $this->field($name, $kind, false)
        );
        if ($kind === self::CHOICE) {
            $filter->set_options_callback(function () use ($name): array {
                return static::choices($name);
            });
        }
        return $filter->add_joins($this->get_joins());
    }

    /**
     * The field, as SQL.
     *
     * @param string $name
     * @param string $kind
     * @param bool $shown Whether it is to be shown, not compared.
     * @return string
     */
    private function field(string $name, string $kind, bool $shown): string {
        global $DB;

        $field = $this->alias() . '.' . $name;
        if ($kind === self::PERCENT) {
            return "100 * {$field}";
        }
        if ($kind === self::LONG && ($DB->get_dbfamily() === 'oracle' || !$shown)) {
            return $DB->sql_compare_text($field, 1024);
        }
        return $field;
    }

    /**
     * The texts to choose from: those in rows that the user at work may see.
     *
     * @param string $name
     * @return string[]
     */
    private static function choices(string $name): array {
        global $DB;

        [$visible, $params] = static::visible('r');
        $values = $DB->get_fieldset_sql(
            "SELECT DISTINCT r.{$name}
               FROM {" . static::feed()->table . "} r
              WHERE r.deleted = 0 AND r.{$name} IS NOT NULL AND {$visible}
           ORDER BY r.{$name}",
            $params
        );
        return array_combine($values, array_map('s', $values));
    }

    /**
     * Title of a column and filter.
     *
     * @param string $name
     * @return lang_string
     */
    private static function title(string $name): lang_string {
        return new lang_string('column' . static::feed()->name . $name, 'local_lrsbridge');
    }

    /**
     * A text, as it is, made safe.
     *
     * @param string|null $value
     * @return string
     */
    public static function plain($value): string {
        // Downloads decode all that s() makes but apostrophes, which need not be made safe between tags.
        return nl2br(str_replace('&#039;', "'", s((string) $value)), false);
    }

    /**
     * A number for people.
     *
     * @param float|null $value
     * @param \stdClass $row
     * @param int|null $decimals
     * @return string
     */
    public static function decimal($value, $row = null, $decimals = 2): string {
        return $value === null ? '' : format_float((float) $value, (int) $decimals, true, true);
    }
}
