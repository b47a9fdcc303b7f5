<?php
// This file drives Moodle and is, as part of it, free software: you can redistribute it and/or modify it under the terms of
// the GNU General Public License as published by the Free Software Foundation, either version 3 of the License, or (at your
// option) any later version. See <https://www.gnu.org/licenses/>.

/**
 * Makes people, courses and a web service in a fresh Moodle, or what is missing of them, and prints who is there as JSON.
 *
 * Called by tests/lms/moodle.py, with the site's folder in LMS_WWW and everybody's password in LMS_PASSWORD.
 */

define('CLI_SCRIPT', true);
require(getenv('LMS_WWW') . '/config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/phpunit/classes/util.php');
require_once($CFG->libdir . '/completionlib.php');
require_once($CFG->libdir . '/externallib.php');
require_once($CFG->dirroot . '/completion/criteria/completion_criteria_activity.php');
require_once($CFG->dirroot . '/course/lib.php');
require_once($CFG->dirroot . '/mod/quiz/locallib.php');
require_once($CFG->dirroot . '/user/lib.php');
require_once($CFG->libdir . '/questionlib.php');
require_once($CFG->dirroot . '/webservice/lib.php');

\core\session\manager::set_user(get_admin());
$generator = phpunit_util::get_data_generator();

// What an admin switches on by hand. Everything stands on this machine, which Moodle's own HTTP client avoids by default.
set_config('enablewebservices', 1);
set_config('webserviceprotocols', 'rest');
set_config('enablecompletion', 1);
set_config('curlsecurityblockedhosts', '');
set_config('curlsecurityallowedport', '');
set_config('enabled_stores', 'logstore_standard,logstore_xapi', 'tool_log');
set_config('smtphosts', '');
set_config('noreplyaddress', 'noreply@example.com');
set_config('allowframembedding', 1);
set_config('texteditors', 'textarea'); // Tests write into fields; the other editors lay a document of their own over them.
set_config('showuseridentity', 'username,email,idnumber');
$DB->set_field('tool_usertours_tours', 'enabled', 0);

// Themes are built at the first look; this would hold the first cron up for a minute.
$DB->delete_records('task_adhoc', ['classname' => '\\core\\task\\build_installed_themes_task']);

/** Gives a user by name; makes it where there is none. */
function person(string $username, string $first, string $last, string $idnumber = '', string $email = ''): stdClass {
    global $DB, $generator;
    $found = $DB->get_record('user', ['username' => $username]);
    return $found ?: $generator->create_user([
        'username' => $username,
        'firstname' => $first,
        'lastname' => $last,
        'email' => $email ?: "{$username}@example.com",
        'idnumber' => $idnumber,
        'password' => getenv('LMS_PASSWORD'),
        'auth' => 'manual',
    ]);
}

/** Gives a course of two pages, a quiz and an assignment that is complete when all but the assignment are; makes it. */
function course(string $shortname, string $fullname): array {
    global $DB, $generator;
    if ($found = $DB->get_record('course', ['shortname' => $shortname])) {
        return ['course' => $found] + activities($found);
    }
    $course = $generator->create_course([
        'shortname' => $shortname,
        'fullname' => $fullname,
        'idnumber' => "course-{$shortname}",
        'enablecompletion' => COMPLETION_ENABLED,
        'numsections' => 1,
    ]);
    $seen = ['completion' => COMPLETION_TRACKING_AUTOMATIC, 'completionview' => COMPLETION_VIEW_REQUIRED];
    $generator->create_module('page', [
        'course' => $course->id, 'name' => 'Listen first', 'idnumber' => "{$shortname}-listen", 'content' => '<p>Ask, then listen.</p>',
    ] + $seen);
    $generator->create_module('page', [
        'course' => $course->id, 'name' => 'Practise', 'idnumber' => "{$shortname}-practise", 'content' => '<p>Say it aloud.</p>',
        'completion' => COMPLETION_TRACKING_MANUAL,
    ]);
    $quiz = $generator->create_module('quiz', [
        'course' => $course->id, 'name' => 'Check yourself', 'idnumber' => "{$shortname}-quiz", 'grade' => 100, 'sumgrades' => 2,
        'questionsperpage' => 0, 'completion' => COMPLETION_TRACKING_AUTOMATIC, 'completionusegrade' => 1,
        'completionpassgrade' => 1, 'gradepass' => 50,
    ]);
    foreach (['A good answer begins with a question.', 'The first price is never the last one.'] as $text) {
        quiz_add_quiz_question(question($course, $text), $quiz);
    }
    quiz_update_sumgrades($quiz);
    $generator->create_module('assign', [
        'course' => $course->id, 'name' => 'Your best call', 'idnumber' => "{$shortname}-call", 'grade' => 100,
        'assignsubmission_onlinetext_enabled' => 1,
    ]);
    $made = activities($course);
    complete_when($course, [$made['listen'], $made['practise'], $made['quiz']]);
    return ['course' => $course] + $made;
}

/** Makes a question that is right when answered with True; gives its id. */
function question(stdClass $course, string $text): int {
    $category = question_make_default_categories([context_course::instance($course->id)]);
    $form = (object)[
        'category' => "{$category->id},{$category->contextid}", 'name' => $text, 'defaultmark' => 1, 'penalty' => 1,
        'questiontext' => ['text' => $text, 'format' => FORMAT_HTML], 'generalfeedback' => ['text' => '', 'format' => FORMAT_HTML],
        'correctanswer' => 1, 'feedbacktrue' => ['text' => '', 'format' => FORMAT_HTML],
        'feedbackfalse' => ['text' => '', 'format' => FORMAT_HTML], 'idnumber' => null,
        'status' => \core_question\local\bank\question_version_status::QUESTION_STATUS_READY,
    ];
    $question = (object)['category' => $category->id, 'qtype' => 'truefalse', 'createdby' => get_admin()->id];
    return (int)question_bank::get_qtype('truefalse')->save_question($question, $form)->id;
}

/** Gives a course's course modules by the last word of their ID numbers. */
function activities(stdClass $course): array {
    global $DB;
    $found = [];
    foreach ($DB->get_records('course_modules', ['course' => $course->id], 'id') as $module) {
        $found[substr($module->idnumber, strrpos($module->idnumber, '-') + 1)] = (int)$module->id;
    }
    return $found;
}

/** Makes a course complete when all of these activities are. */
function complete_when(stdClass $course, array $modules): void {
    $criterion = new completion_criteria_activity();
    $data = (object)['id' => $course->id, 'criteria_activity' => array_fill_keys($modules, 1)];
    $criterion->update_config($data);
    foreach ([null, COMPLETION_CRITERIA_TYPE_ACTIVITY] as $type) {
        $aggregation = new completion_aggregation(['course' => $course->id, 'criteriatype' => $type]);
        $aggregation->setMethod(COMPLETION_AGGREGATION_ALL);
        $aggregation->save();
    }
}

/** Gives the role of the account that our tokens belong to, with no more than it needs; makes it. */
function service_role(): int {
    global $DB;
    $id = $DB->get_field('role', 'id', ['shortname' => 'lrsbridge']) ?: create_role('lrs-bridge', 'lrsbridge', 'Calls web services.');
    set_role_contextlevels($id, [CONTEXT_SYSTEM]);
    $capabilities = [
        'webservice/rest:use', 'moodle/user:viewdetails', 'moodle/user:viewhiddendetails', 'moodle/site:viewuseridentity',
        'moodle/course:useremail', 'moodle/course:view', 'moodle/course:viewhiddencourses', 'moodle/course:viewparticipants',
        'moodle/course:viewhiddenactivities', 'moodle/grade:viewall', 'gradereport/user:view', 'report/completion:view',
        'report/progress:view', 'moodle/site:accessallgroups', 'moodle/user:update',
    ];
    // Who may not view a kind of activity is told nothing of it, neither completions nor grades, and no error either.
    foreach (get_all_capabilities() as $capability) {
        if ($capability['name'] === 'local/lrsbridge:push' || preg_match('~^mod/[a-z0-9]+:view$~', $capability['name'])) {
            $capabilities[] = $capability['name'];
        }
    }
    foreach ($capabilities as $name) {
        assign_capability($name, CAP_ALLOW, $id, context_system::instance()->id, true);
    }
    return $id;
}

/** Gives a token of an account for the plugin's service, or, without the plugin, for one of the same functions of core. */
function token(stdClass $user): string {
    global $DB;
    $services = new webservice();
    $service = $services->get_external_service_by_shortname('local_lrsbridge')
        ?: $services->get_external_service_by_shortname('lrs_bridge_tests');
    $id = $service ? $service->id : $services->add_external_service((object)[
        'name' => 'Reading', 'shortname' => 'lrs_bridge_tests', 'enabled' => 1, 'restrictedusers' => 0,
        'downloadfiles' => 0, 'uploadfiles' => 0,
    ]);
    $core = [
        'core_webservice_get_site_info', 'core_user_get_users_by_field', 'core_enrol_get_enrolled_users',
        'core_enrol_get_users_courses', 'core_course_get_courses_by_field', 'core_course_get_contents',
        'core_completion_get_activities_completion_status', 'core_completion_get_course_completion_status',
        'gradereport_user_get_grade_items', 'core_reportbuilder_list_reports', 'core_reportbuilder_retrieve_report',
    ];
    foreach ($service ? [] : $core as $function) {
        $services->add_external_function_to_service($function, $id);
    }
    $kept = $DB->get_field('external_tokens', 'token', ['userid' => $user->id, 'externalserviceid' => $id]);
    return $kept ?: \core_external\util::generate_token(
        EXTERNAL_TOKEN_PERMANENT, \core_external\util::get_service_by_id($id), $user->id, context_system::instance());
}

/** Makes somebody the line manager of somebody else: a role in the user context of that person. */
function lead(stdClass $leader, stdClass $person): void {
    global $DB;
    $id = $DB->get_field('role', 'id', ['shortname' => 'lrslead']) ?: create_role('Line manager', 'lrslead', 'Leads a team.');
    set_role_contextlevels($id, [CONTEXT_USER]);
    if (get_capability_info('local/lrsbridge:viewteam')) {
        assign_capability('local/lrsbridge:viewteam', CAP_ALLOW, $id, context_system::instance()->id, true);
    }
    role_assign($id, $leader->id, context_user::instance($person->id)->id);
}

/** Gives somebody a token for the functions of reports, and of ours too: a service may have whatever an admin puts in. */
function reader_token(stdClass $user): string {
    global $CFG, $DB;
    $services = new webservice();
    $service = $services->get_external_service_by_shortname('readers');
    $id = $service ? $service->id : $services->add_external_service((object)[
        'name' => 'Readers', 'shortname' => 'readers', 'enabled' => 1, 'restrictedusers' => 0,
        'downloadfiles' => 0, 'uploadfiles' => 0,
    ]);
    $wanted = [
        'core_reportbuilder_list_reports', 'core_reportbuilder_retrieve_report', 'core_user_get_users_by_field',
        'local_lrsbridge_push_rows', 'local_lrsbridge_held', 'local_lrsbridge_status', 'local_lrsbridge_resend_failed',
    ];
    foreach ($wanted as $function) {
        if ($DB->record_exists('external_functions', ['name' => $function]) && !$services->service_function_exists($function, $id)) {
            $services->add_external_function_to_service($function, $id);
        }
    }
    assign_capability('webservice/rest:use', CAP_ALLOW, $CFG->defaultuserroleid, context_system::instance()->id, true);
    return $DB->get_field('external_tokens', 'token', ['userid' => $user->id, 'externalserviceid' => $id])
        ?: \core_external\util::generate_token(
            EXTERNAL_TOKEN_PERMANENT, \core_external\util::get_service_by_id($id), $user->id, context_system::instance());
}

$courses = [
    'SALES' => course('SALES', 'Better sales calls'),
    'SUPPORT' => course('SUPPORT', 'Faster support'),
    'OBJECTIONS' => course('OBJECTIONS', 'Handling objections'),
];
$people = [
    'teacher1' => person('teacher1', 'Tina', 'Teacher'),
    'teacher2' => person('teacher2', 'Tom', 'Teacher'),
    'teacher3' => person('teacher3', 'Thea', 'Teacher'),
    'manager1' => person('manager1', 'Mona', 'Manager'),
    'leader1' => person('leader1', 'Lou', 'Leader'),
    'lrsbridge' => person('lrsbridge', 'Bridge', 'Account'),
];
$names = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eva', 'Finn', 'Gina', 'Hugo', 'Iris', 'Jon', 'Kim', 'Lea'];
foreach ($names as $place => $first) {
    $username = sprintf('learner%02d', $place + 1);
    // The last one's address is written in capitals, as some directories do.
    $email = $place === 11 ? 'LEARNER12@Example.com' : '';
    $people[$username] = person($username, $first, 'Learner', sprintf('E%03d', $place + 1), $email);
}
// Learners 1 to 6 sell, 6 to 12 give support: number 6 does both.
foreach (array_keys($people) as $username) {
    $number = (int)substr($username, -2);
    if (strpos($username, 'learner') !== 0) {
        continue;
    }
    foreach (['SALES' => $number <= 6, 'SUPPORT' => $number >= 6] as $shortname => $wanted) {
        if ($wanted) {
            $generator->enrol_user($people[$username]->id, $courses[$shortname]['course']->id, 'student');
        }
    }
}
$generator->enrol_user($people['teacher1']->id, $courses['SALES']['course']->id, 'editingteacher');
$generator->enrol_user($people['teacher2']->id, $courses['SUPPORT']['course']->id, 'editingteacher');
$generator->enrol_user($people['teacher3']->id, $courses['OBJECTIONS']['course']->id, 'editingteacher');
$roles = $DB->get_records_menu('role', null, '', 'shortname, id');
role_assign($roles['manager'], $people['manager1']->id, context_system::instance()->id);
lead($people['leader1'], $people['learner01']);
role_assign(service_role(), $people['lrsbridge']->id, context_system::instance()->id);
// A person's number in the CRM, in a profile field.
if (!$DB->record_exists('user_info_field', ['shortname' => 'crmuserid'])) {
    $generator->create_custom_profile_field(['datatype' => 'text', 'shortname' => 'crmuserid', 'name' => 'CRM user id']);
}
purge_all_caches();

echo json_encode([
    'url' => $CFG->wwwroot,
    'release' => $release ?? get_config('', 'release'),
    'token' => token($people['lrsbridge']),
    'readers' => array_map('reader_token', array_diff_key($people, ['lrsbridge' => 0])),
    'users' => array_map(fn($user) => (int)$user->id, $people) + ['admin' => (int)get_admin()->id],
    'courses' => array_map(
        fn($made) => ['id' => (int)$made['course']->id] + array_diff_key($made, ['course' => 0]), $courses),
]);
