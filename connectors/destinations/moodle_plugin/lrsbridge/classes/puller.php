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
 * Asks lrs-bridge for what changed, feed by feed and page by page.
 *
 * Each page and the position after it are stored together, so that a run that breaks off anywhere goes on where it was.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class puller {
    /** @var int Rows asked for at once. */
    private const PAGE = 500;

    /** @var int Pages of one feed in one run; the next run goes on. */
    private const MOST_PAGES = 200;

    /** @var callable Makes the client. */
    private $connect;

    /**
     * Pull from where the settings say.
     *
     * @param callable|null $connect For tests: makes the {@see bridge}.
     */
    public function __construct(?callable $connect = null) {
        $this->connect = $connect ?? function (): bridge {
            return new bridge();
        };
    }

    /**
     * Pull all feeds; one that fails does not stop the others.
     *
     * @throws \moodle_exception What went wrong first, after all were tried.
     */
    public function pull_all(): void {
        $first = null;
        foreach (feed::names() as $feed) {
            try {
                $rows = $this->pull($feed, ($this->connect)());
                mtrace(get_string('pulled', 'local_lrsbridge', ['feed' => $feed, 'rows' => $rows]));
            } catch (\moodle_exception $e) {
                exchanges::note_failure(exchanges::PULL, $feed, $e->getMessage());
                mtrace($feed . ': ' . $e->getMessage());
                $first = $first ?? $e;
            }
        }
        if ($first !== null) {
            throw $first;
        }
    }

    /**
     * Pull one feed.
     *
     * @param string $feed
     * @param bridge $bridge
     * @return int How many rows came.
     * @throws \moodle_exception
     */
    public function pull(string $feed, bridge $bridge): int {
        $rows = 0;
        for ($page = 0; $page < self::MOST_PAGES; $page++) {
            $answer = $this->page($feed, $bridge);
            $rows += count($answer['rows']);
            if (!$answer['more']) {
                break;
            }
        }
        return $rows;
    }

    /**
     * Ask for one page and store it.
     *
     * @param string $feed
     * @param bridge $bridge
     * @return array The page.
     * @throws \moodle_exception
     */
    private function page(string $feed, bridge $bridge): array {
        $after = exchanges::position($feed);
        try {
            $answer = $bridge->changes($feed, $after, self::PAGE);
        } catch (unreachable $problem) {
            if ($problem->errorcode !== 'problemposition' || $after === null) {
                throw $problem;
            }
            // What our key may see was changed, or it was set up anew. From the beginning, then, and what is not given
            // again is gone.
            exchanges::begin_anew($feed);
            $after = null;
            $answer = $bridge->changes($feed, $after, self::PAGE);
        }
        if ($answer['more'] && ($answer['next'] ?? $after) === $after) {
            throw new unreachable('problemloop', $feed);
        }
        [$round, $sweeping] = exchanges::round($feed);
        $done = $sweeping && !$answer['more'];
        store::take($answer['rows'], function (array $answers) use ($feed, $answer, $round, $done): void {
            if ($done) {
                store::drop(feed::get($feed), $round);
            }
            exchanges::note(exchanges::PULL, $feed, $answers, $answer['next'], $done);
        }, $round);
        return $answer;
    }
}
