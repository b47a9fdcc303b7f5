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
 * What the admin chose.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class settings {
    /** @var string lrs-bridge sends rows. */
    public const PUSH = 'push';
    /** @var string This site asks for rows. */
    public const PULL = 'pull';
    /** @var string Both. */
    public const BOTH = 'both';

    /**
     * Which way rows come in.
     *
     * @return string
     */
    public static function mode(): string {
        $mode = (string) get_config('local_lrsbridge', 'mode');
        return in_array($mode, [self::PUSH, self::PULL, self::BOTH], true) ? $mode : self::PUSH;
    }

    /**
     * Whether rows that are sent are taken.
     *
     * @return bool
     */
    public static function takes_pushes(): bool {
        return self::mode() !== self::PULL;
    }

    /**
     * Whether rows are asked for.
     *
     * @return bool
     */
    public static function pulls(): bool {
        return self::mode() !== self::PUSH;
    }

    /**
     * Address of lrs-bridge, without a slash at its end; empty when not set.
     *
     * @return string
     */
    public static function url(): string {
        return rtrim(trim((string) get_config('local_lrsbridge', 'url')), '/');
    }

    /**
     * Key and secret of a credential of lrs-bridge.
     *
     * @return string[]
     */
    public static function credential(): array {
        return [
            trim((string) get_config('local_lrsbridge', 'key')),
            trim((string) get_config('local_lrsbridge', 'secret')),
        ];
    }

    /**
     * The release of this plugin.
     *
     * @return string
     */
    public static function release(): string {
        return (string) \core_plugin_manager::instance()->get_plugin_info('local_lrsbridge')->release;
    }
}
