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

/**
 * Settings, and the pages of the admin.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

if ($hassiteconfig) {
    $ADMIN->add('localplugins', new admin_category('local_lrsbridge_category', new lang_string('pluginname', 'local_lrsbridge')));

    $settings = new admin_settingpage('local_lrsbridge', new lang_string('settings', 'local_lrsbridge'));
    $ADMIN->add('local_lrsbridge_category', $settings);
    $ADMIN->add('local_lrsbridge_category', new admin_externalpage(
        'local_lrsbridge_health',
        new lang_string('health', 'local_lrsbridge'),
        new moodle_url('/local/lrsbridge/health.php')
    ));
    $ADMIN->add('local_lrsbridge_category', new admin_externalpage(
        'local_lrsbridge_test',
        new lang_string('testconnection', 'local_lrsbridge'),
        new moodle_url('/local/lrsbridge/testconnection.php')
    ));

    if ($ADMIN->fulltree) {
        $settings->add(new admin_setting_heading(
            'local_lrsbridge/about',
            '',
            html_writer::link(
                new moodle_url('/local/lrsbridge/testconnection.php'),
                new lang_string('testconnection', 'local_lrsbridge'),
                ['class' => 'btn btn-secondary']
            ) . ' ' . html_writer::link(
                new moodle_url('/local/lrsbridge/health.php'),
                new lang_string('health', 'local_lrsbridge'),
                ['class' => 'btn btn-secondary']
            )
        ));
        $settings->add(new admin_setting_configselect(
            'local_lrsbridge/mode',
            new lang_string('mode', 'local_lrsbridge'),
            new lang_string('mode_desc', 'local_lrsbridge'),
            'push',
            [
                'push' => new lang_string('modepush', 'local_lrsbridge'),
                'pull' => new lang_string('modepull', 'local_lrsbridge'),
                'both' => new lang_string('modeboth', 'local_lrsbridge'),
            ]
        ));
        $settings->add(new admin_setting_configtext(
            'local_lrsbridge/url',
            new lang_string('url', 'local_lrsbridge'),
            new lang_string('url_desc', 'local_lrsbridge'),
            '',
            '/^([Hh][Tt][Tt][Pp][Ss]?:\/\/[^\s?#]+)?$/'
        ));
        $settings->add(new admin_setting_configtext(
            'local_lrsbridge/key',
            new lang_string('key', 'local_lrsbridge'),
            new lang_string('key_desc', 'local_lrsbridge'),
            '',
            PARAM_RAW_TRIMMED
        ));
        $settings->add(new admin_setting_configpasswordunmask(
            'local_lrsbridge/secret',
            new lang_string('secret', 'local_lrsbridge'),
            new lang_string('secret_desc', 'local_lrsbridge'),
            ''
        ));
        $settings->add(new admin_setting_configtext(
            'local_lrsbridge/homepage',
            new lang_string('homepage', 'local_lrsbridge'),
            new lang_string('homepage_desc', 'local_lrsbridge'),
            '',
            '/^([Hh][Tt][Tt][Pp][Ss]?:\/\/[^\s]+)?$/'
        ));
    }
}
