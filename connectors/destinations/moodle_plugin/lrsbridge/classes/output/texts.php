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

namespace local_lrsbridge\output;

/**
 * Values of rows as people read them.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class texts {
    /**
     * A date, or a dash.
     *
     * @param int|string|null $time
     * @return string
     */
    public static function date($time): string {
        return $time ? userdate((int) $time, get_string('strftimedate', 'langconfig')) : self::nothing();
    }

    /**
     * A time, or the word for never.
     *
     * @param int|string|null $time
     * @return string
     */
    public static function time($time): string {
        return $time ? userdate((int) $time) : get_string('never');
    }

    /**
     * A share in percent.
     *
     * @param float|string|null $share From 0 to 1.
     * @return string
     */
    public static function percent($share): string {
        return $share === null ? self::nothing() : get_string('percents', 'moodle', format_float(100 * $share, 1, true, true));
    }

    /**
     * A number with its unit.
     *
     * @param float|string|null $number
     * @param string|null $unit
     * @return string
     */
    public static function number($number, ?string $unit = null): string {
        if ($number === null) {
            return self::nothing();
        }
        return trim(format_float((float) $number, 2, true, true) . ' ' . $unit);
    }

    /**
     * A text, or a dash.
     *
     * @param string|null $text
     * @return string
     */
    public static function text(?string $text): string {
        return $text === null || $text === '' ? self::nothing() : $text;
    }

    /**
     * What stands where there is nothing.
     *
     * @return string
     */
    public static function nothing(): string {
        return '–';
    }
}
