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
 * One learner in one program, for custom reports.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class record extends rows {
    /**
     * The feed.
     *
     * @return feed
     */
    protected static function feed(): feed {
        return feed::get('records');
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
            'team' => self::CHOICE,
            'jobrole' => self::CHOICE,
            'enrolledat' => self::TIME,
            'completedat' => self::TIME,
            'attempts' => self::INT,
            'bestscore' => self::PERCENT,
            'lastactivityat' => self::TIME,
            'rememberedscore' => self::PERCENT,
            'highesttier' => self::INT,
            'tiername' => self::CHOICE,
            'usesbefore' => self::INT,
            'ratebefore' => self::PERCENT,
            'usessince' => self::INT,
            'ratesince' => self::PERCENT,
            'daystofirst' => self::NUMBER,
            'matchquality' => self::CHOICE,
            'nextpractice' => self::LONG,
            'timemodified' => self::TIME,
        ];
    }

    /**
     * The condition that holds for rows that the user at work may see.
     *
     * @param string $alias
     * @return array SQL and parameters.
     */
    public static function visible(string $alias): array {
        return (new visibility())->of_people($alias);
    }
}
