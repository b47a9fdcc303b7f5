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

use local_lrsbridge\feed;
use local_lrsbridge\visibility;

/**
 * What a program changed in one metric, for custom reports.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class impact extends rows {
    /**
     * The feed.
     *
     * @return feed
     */
    protected static function feed(): feed {
        return feed::get('impacts');
    }

    /**
     * What there is to see.
     *
     * @return string[]
     */
    protected static function elements(): array {
        return [
            'program' => self::CHOICE,
            'programtitle' => self::CHOICE,
            'metric' => self::CHOICE,
            'metrictitle' => self::CHOICE,
            'unit' => self::CHOICE,
            'direction' => self::CHOICE,
            'horizon' => self::CHOICE,
            'verdict' => self::CHOICE,
            'sentence' => self::LONG,
            'estimate' => self::NUMBER,
            'lowbound' => self::NUMBER,
            'highbound' => self::NUMBER,
            'grade' => self::CHOICE,
            'refusals' => self::LONG,
            'people' => self::INT,
            'teams' => self::INT,
            'nextlook' => self::DATE,
            'computedat' => self::TIME,
            'isprimary' => self::FLAG,
        ];
    }

    /**
     * The condition that holds for rows that the user at work may see.
     *
     * @param string $alias
     * @return array SQL and parameters.
     */
    public static function visible(string $alias): array {
        return (new visibility())->of_programs($alias);
    }
}
