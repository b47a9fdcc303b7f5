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
 * What this site is called in xAPI statements.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class site {
    /**
     * Whether a home page is this site's address; http and https are one, and so are names with and without a last
     * slash.
     *
     * @param string $homepage
     * @return bool
     */
    public static function is_this(string $homepage): bool {
        global $CFG;

        return self::plain($homepage) === self::plain($CFG->wwwroot);
    }

    /**
     * Whether a home page is the one that the settings name for accounts of this site.
     *
     * @param string $homepage
     * @return bool
     */
    public static function is_homepage(string $homepage): bool {
        $set = (string) get_config('local_lrsbridge', 'homepage');
        return $set !== '' && self::plain($homepage) === self::plain($set);
    }

    /**
     * The home page of accounts by which people here are known.
     *
     * @return string
     */
    public static function homepage(): string {
        global $CFG;

        $set = trim((string) get_config('local_lrsbridge', 'homepage'));
        return $set === '' ? $CFG->wwwroot : $set;
    }

    /**
     * The id of the course that an activity IRI stands for, be it the course or something in it; null for any other
     * IRI.
     *
     * @param string $iri
     * @return int|null
     */
    public static function course_of(string $iri): ?int {
        global $CFG, $DB;

        $plain = self::plain($iri);
        $root = self::plain($CFG->wwwroot);
        if (strpos($plain, $root . '/') !== 0) {
            return null;
        }
        $path = substr($plain, strlen($root));
        if (preg_match('~^/course/view\.php\?id=(\d{1,9})$~', $path, $parts)) {
            return $DB->record_exists('course', ['id' => $parts[1]]) ? (int) $parts[1] : null;
        }
        if (preg_match('~^/mod/[a-z0-9_]+/view\.php\?id=(\d{1,9})$~', $path, $parts)) {
            $course = $DB->get_field('course_modules', 'course', ['id' => $parts[1]]);
            return $course === false ? null : (int) $course;
        }
        return null;
    }

    /**
     * An address without what makes no difference.
     *
     * @param string $address
     * @return string
     */
    private static function plain(string $address): string {
        $address = rtrim(trim($address), '/');
        return preg_replace_callback('~^https?://([^/?#]*)~i', function (array $parts): string {
            return '//' . strtolower($parts[1]);
        }, $address);
    }
}
