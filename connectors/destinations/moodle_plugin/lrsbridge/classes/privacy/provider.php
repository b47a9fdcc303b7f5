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

namespace local_lrsbridge\privacy;

use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\contextlist;
use core_privacy\local\request\transform;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;
use local_lrsbridge\feed;
use local_lrsbridge\store;

/**
 * What is kept about people, told, exported and deleted.
 *
 * All of it lies in the user context. Who is deleted here is taken from lrs-bridge no more, since it would send the
 * same again; that
 * they are to be erased there too is what it is told.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class provider implements
    \core_privacy\local\metadata\provider,
    \core_privacy\local\request\core_userlist_provider,
    \core_privacy\local\request\plugin\provider {
    /** @var string[] Columns that hold Unix times. */
    private const TIMES = ['enrolledat', 'completedat', 'lastactivityat', 'lastevidenceat', 'timemodified'];

    /** @var string[] Columns that say nothing about the person. */
    private const INTERNAL = ['id', 'rowkey', 'version', 'checksum', 'contenthash', 'deleted', 'userid', 'pullround'];

    /**
     * What is kept, and what leaves this site.
     *
     * @param collection $collection
     * @return collection
     */
    public static function get_metadata(collection $collection): collection {
        foreach (feed::about_people() as $feed) {
            $fields = array_merge(['rowkey', 'learner', 'userid', 'userdata'], array_keys($feed->no_values()), ['timemodified']);
            $texts = [];
            foreach ($fields as $field) {
                $texts[$field] = "privacy:metadata:{$feed->name}:{$field}";
            }
            $collection->add_database_table($feed->table, $texts, "privacy:metadata:{$feed->name}");
        }
        $collection->add_database_table('local_lrsbridge_erased', [
            'learner' => 'privacy:metadata:erased:learner',
            'timecreated' => 'privacy:metadata:erased:timecreated',
        ], 'privacy:metadata:erased');
        $collection->add_external_location_link('lrsbridge', [
            'rowkey' => 'privacy:metadata:lrsbridge:rowkey',
            'outcome' => 'privacy:metadata:lrsbridge:outcome',
        ], 'privacy:metadata:lrsbridge');
        return $collection;
    }

    /**
     * The user context, if anything is kept about the user.
     *
     * @param int $userid
     * @return contextlist
     */
    public static function get_contexts_for_userid(int $userid): contextlist {
        $list = new contextlist();
        foreach (feed::about_people() as $feed) {
            $list->add_from_sql(
                "SELECT ctx.id
                   FROM {context} ctx
                   JOIN {" . $feed->table . "} r ON r.userid = ctx.instanceid
                  WHERE ctx.contextlevel = :level AND r.userid = :userid",
                ['level' => CONTEXT_USER, 'userid' => $userid]
            );
        }
        return $list;
    }

    /**
     * The user of a user context, if anything is kept about them.
     *
     * @param userlist $userlist
     */
    public static function get_users_in_context(userlist $userlist) {
        $context = $userlist->get_context();
        if (!$context instanceof \context_user) {
            return;
        }
        foreach (feed::about_people() as $feed) {
            $userlist->add_from_sql(
                'userid',
                "SELECT r.userid FROM {" . $feed->table . "} r WHERE r.userid = :userid",
                ['userid' => $context->instanceid]
            );
        }
    }

    /**
     * Export what is kept about a user.
     *
     * @param approved_contextlist $contextlist
     */
    public static function export_user_data(approved_contextlist $contextlist) {
        global $DB;

        $userid = (int) $contextlist->get_user()->id;
        foreach ($contextlist->get_contexts() as $context) {
            if (!$context instanceof \context_user || (int) $context->instanceid !== $userid) {
                continue;
            }
            foreach (feed::about_people() as $feed) {
                $rows = array_map([self::class, 'readable'], array_values(
                    $DB->get_records($feed->table, ['userid' => $userid, 'deleted' => 0], 'rowkey')
                ));
                if ($rows) {
                    writer::with_context($context)->export_data(
                        [get_string('pluginname', 'local_lrsbridge'), get_string("feed{$feed->name}", 'local_lrsbridge')],
                        (object) ['rows' => $rows]
                    );
                }
            }
        }
    }

    /**
     * Delete everything about the user of a user context.
     *
     * @param \context $context
     */
    public static function delete_data_for_all_users_in_context(\context $context) {
        if ($context instanceof \context_user) {
            store::erase_user((int) $context->instanceid);
        }
    }

    /**
     * Delete everything about a user.
     *
     * @param approved_contextlist $contextlist
     */
    public static function delete_data_for_user(approved_contextlist $contextlist) {
        foreach ($contextlist->get_contexts() as $context) {
            if ($context instanceof \context_user && $context->instanceid == $contextlist->get_user()->id) {
                store::erase_user((int) $context->instanceid);
            }
        }
    }

    /**
     * Delete everything about the user of a user context, if they are on the list.
     *
     * @param approved_userlist $userlist
     */
    public static function delete_data_for_users(approved_userlist $userlist) {
        $context = $userlist->get_context();
        if ($context instanceof \context_user && in_array($context->instanceid, $userlist->get_userids())) {
            store::erase_user((int) $context->instanceid);
        }
    }

    /**
     * A row as a person can read it.
     *
     * @param \stdClass $row
     * @return \stdClass
     */
    private static function readable(\stdClass $row): \stdClass {
        foreach (self::INTERNAL as $column) {
            unset($row->$column);
        }
        foreach (self::TIMES as $column) {
            if (isset($row->$column)) {
                $row->$column = transform::datetime($row->$column);
            }
        }
        $row->userdata = json_decode($row->userdata ?? '', true);
        return $row;
    }
}
