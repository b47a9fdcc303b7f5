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
 * Strings in English.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['betterdown'] = 'lower';
$string['betterup'] = 'higher';
$string['busy'] = 'Others have been writing rows for too long. Nothing was stored; try again later.';
$string['columnhealthhealthstate'] = 'State';
$string['columnhealthitemcount'] = 'Rows';
$string['columnhealthkind'] = 'Kind';
$string['columnhealthlagseconds'] = 'Lag (seconds)';
$string['columnhealthlastsuccessat'] = 'Last success';
$string['columnhealthmessage'] = 'Message';
$string['columnhealthname'] = 'Short name';
$string['columnhealthquarantined'] = 'Quarantined';
$string['columnhealthtimemodified'] = 'Received';
$string['columnhealthtitle'] = 'Name';
$string['columnhealthunmatched'] = 'Not matched';
$string['columnimpactscomputedat'] = 'Computed';
$string['columnimpactsdirection'] = 'Better when';
$string['columnimpactsestimate'] = 'Estimate';
$string['columnimpactsgrade'] = 'Grade of evidence';
$string['columnimpactshighbound'] = 'Interval to';
$string['columnimpactshorizon'] = 'Horizon';
$string['columnimpactsisprimary'] = 'Primary metric';
$string['columnimpactslowbound'] = 'Interval from';
$string['columnimpactsmetric'] = 'Metric (short name)';
$string['columnimpactsmetrictitle'] = 'Metric';
$string['columnimpactsnextlook'] = 'Next look';
$string['columnimpactspeople'] = 'People';
$string['columnimpactsprogram'] = 'Program (short name)';
$string['columnimpactsprogramtitle'] = 'Program';
$string['columnimpactsrefusals'] = 'Why no verdict';
$string['columnimpactssentence'] = 'In words';
$string['columnimpactsteams'] = 'Teams';
$string['columnimpactsunit'] = 'Unit';
$string['columnimpactsverdict'] = 'Verdict';
$string['columnmeasuresbeforecount'] = 'Cases before';
$string['columnmeasuresbeforemean'] = 'Mean before';
$string['columnmeasuresdirection'] = 'Better when';
$string['columnmeasuresmetric'] = 'Metric (short name)';
$string['columnmeasuresmetrictitle'] = 'Metric';
$string['columnmeasuressincecount'] = 'Cases since';
$string['columnmeasuressincemean'] = 'Mean since';
$string['columnmeasurestimemodified'] = 'Received';
$string['columnmeasuresunit'] = 'Unit';
$string['columnreadinessevidence'] = 'Evidence (effective n)';
$string['columnreadinesslastevidenceat'] = 'Last evidence';
$string['columnreadinessmoment'] = 'Moment';
$string['columnreadinessnextpractice'] = 'Next practice';
$string['columnreadinessprogram'] = 'Program (short name)';
$string['columnreadinessreadylevel'] = 'Level (%)';
$string['columnreadinessreadystate'] = 'Ready?';
$string['columnreadinessskill'] = 'Skill (short name)';
$string['columnreadinessskilltitle'] = 'Skill';
$string['columnrecordsattempts'] = 'Attempts';
$string['columnrecordsbestscore'] = 'Best score (%)';
$string['columnrecordscompletedat'] = 'Completed';
$string['columnrecordsdaystofirst'] = 'Days to first use';
$string['columnrecordsenrolledat'] = 'Enrolled';
$string['columnrecordshighesttier'] = 'Highest tier of evidence (1-7)';
$string['columnrecordsjobrole'] = 'Role on the job';
$string['columnrecordslastactivityat'] = 'Last activity';
$string['columnrecordsmatchquality'] = 'How the learner was matched';
$string['columnrecordsnextpractice'] = 'Next practice';
$string['columnrecordsprogram'] = 'Program (short name)';
$string['columnrecordsprogramtitle'] = 'Program';
$string['columnrecordsratebefore'] = 'Rate of use before (%)';
$string['columnrecordsratesince'] = 'Rate of use since (%)';
$string['columnrecordsrememberedscore'] = 'Remembered later (%)';
$string['columnrecordsteam'] = 'Team';
$string['columnrecordstiername'] = 'Highest tier of evidence';
$string['columnrecordstimemodified'] = 'Received';
$string['columnrecordsusesbefore'] = 'Uses on the job before';
$string['columnrecordsusessince'] = 'Uses on the job since';
$string['courserecords'] = 'On-the-job records';
$string['feedhealth'] = 'Data health';
$string['feedimpacts'] = 'Impact';
$string['feedmeasures'] = 'Measure';
$string['feedreadiness'] = 'Readiness';
$string['feedrecords'] = 'Learner in a program';
$string['feedunknown'] = 'Unknown feed';
$string['health'] = 'Exchange with lrs-bridge';
$string['homepage'] = 'Home page of accounts';
$string['homepage_desc'] = 'Leave empty where statements name people by accounts of this site, as logstore_xapi does by default. If its setting "account home page" names another address, put the same here.';
$string['inteam'] = 'Team: {$a}';
$string['key'] = 'Key';
$string['key_desc'] = 'Of a credential that <code>lrs-bridge credential create --scope reports/read</code> printed. It may be narrowed to programs, teams or courses.';
$string['learner'] = 'Learner';
$string['lrsbridge:push'] = 'Hand over rows as lrs-bridge, and ask what is held';
$string['lrsbridge:viewall'] = 'See all on-the-job records, results, and the health of the data';
$string['lrsbridge:viewcourse'] = 'See the on-the-job records of a course\'s learners';
$string['lrsbridge:viewown'] = 'See one\'s own on-the-job record';
$string['lrsbridge:viewteam'] = 'See the on-the-job records of users in whose user context one has this role';
$string['matched'] = '{$a} rows found their user';
$string['measures'] = 'Performance before and since the training: {$a}';
$string['mode'] = 'How rows come in';
$string['mode_desc'] = 'Pushing needs a web service token here that lrs-bridge has. Pulling needs the address, key and secret below; a scheduled task asks every five minutes.';
$string['modeboth'] = 'Both';
$string['modepull'] = 'This site pulls them';
$string['modepush'] = 'lrs-bridge pushes them';
$string['moreabout'] = 'More about {$a}';
$string['myrecord'] = 'My on-the-job record';
$string['myteam'] = 'On-the-job records of my team';
$string['nextlook'] = 'Next look: {$a}.';
$string['nextpractice'] = 'Next practice:';
$string['norecord'] = 'There is no record yet. One is made when a program is taken that lrs-bridge follows.';
$string['norecords'] = 'There are no records that you may see here.';
$string['noteam'] = 'You lead nobody here. An admin makes somebody a leader by giving them a role in the user context of each person: Profile > Preferences > Assign roles relative to this user.';
$string['nothingtosee'] = 'There is no record here that you may see.';
$string['pagebestscore'] = 'Best score';
$string['pagecompletedat'] = 'Completed';
$string['pagedaystofirst'] = 'Days to first use';
$string['pagelevel'] = 'Level';
$string['pageratebefore'] = 'Use on the job before';
$string['pageratesince'] = 'Use on the job since';
$string['pagerememberedscore'] = 'Remembered later';
$string['pagetiername'] = 'Highest tier of evidence';
$string['pluginname'] = 'lrs-bridge: on-the-job performance';
$string['problemanswer'] = 'What {$a} answered is not what lrs-bridge says. Check the address, and that plugin and lrs-bridge are of versions that fit.';
$string['problemblocked'] = 'This site\'s own security settings forbid {$a->url}. In Site administration > General > Security > HTTP security, take {$a->host} or its address range out of "cURL blocked hosts list", and put {$a->port} into "cURL allowed ports list". A name that cannot be resolved is blocked as well.';
$string['problembusy'] = 'lrs-bridge has no time now (status {$a->status}). It is asked again later. ({$a->detail})';
$string['problemconnect'] = 'Nothing answers at {$a->url}. Check the address and port, that lrs-bridge runs, and that no firewall stands between. ({$a->detail})';
$string['problemhost'] = 'The name of the host in {$a->url} is not known. Check the address in the settings, and the name server of this machine. ({$a->detail})';
$string['problemkey'] = 'lrs-bridge does not know this key and secret, or they were revoked. Make new ones with: lrs-bridge credential create --name moodle --scope reports/read. ({$a->detail})';
$string['problemloop'] = 'lrs-bridge says that there is more of {$a} but does not say where. Update lrs-bridge.';
$string['problemnetwork'] = 'The connection to {$a->url} broke. ({$a->detail})';
$string['problemnokey'] = 'Key and secret are not set. Make them with: lrs-bridge credential create --name moodle --scope reports/read. Put both into the settings of this plugin.';
$string['problemnotfound'] = 'Something answers at {$a->url}, but it is not lrs-bridge. Check the address: it is that of its pages, without /api or /xapi.';
$string['problemnourl'] = 'The address of lrs-bridge is not set. Put it into the settings of this plugin.';
$string['problemposition'] = 'lrs-bridge no longer knows where pulling had come to; it begins anew. ({$a->detail})';
$string['problemproxy'] = 'The proxy of this site cannot be found. Check Site administration > Server > HTTP. ({$a->detail})';
$string['problemredirect'] = '{$a->url} leads elsewhere (to {$a->location}), which is not followed since the secret would go with it. Put the address that it leads to into the settings.';
$string['problemrefused'] = '{$a->key}: {$a->message}';
$string['problemscope'] = 'The key is known but may not read this. Make one with the scope reports/read. ({$a->detail})';
$string['problemstatus'] = 'lrs-bridge answered with status {$a->status}. ({$a->detail})';
$string['problemtimeout'] = '{$a->url} did not answer in time. Check that no firewall swallows the connection, and the load of lrs-bridge. ({$a->detail})';
$string['problemtls'] = 'The encrypted connection to {$a->url} cannot be trusted. Check its certificate: the host name, the date, and that this machine knows who issued it. ({$a->detail})';
$string['problemurl'] = 'The address of lrs-bridge, {$a}, does not begin with https:// or http://. Correct it in the settings of this plugin.';
$string['problemversion'] = 'lrs-bridge at {$a->url} is of a version that does not fit this plugin: update whichever is older. It said (status {$a->status}): {$a->detail}';
$string['pulled'] = '{$a->feed}: {$a->rows} rows';
$string['pulloff'] = 'Pulling is off: the setting "How rows come in" says so.';
$string['pushoff'] = 'This site does not take rows that are pushed: the setting "How rows come in" of local_lrsbridge says that it pulls them. Change it, or stop pushing.';
$string['readinesscaption'] = 'What can be handled by now, as far as it is known';
$string['readyimpacts'] = 'What training changed';
$string['readyrecords'] = 'On-the-job performance';
$string['recordof'] = 'On-the-job record of {$a}';
$string['recordsin'] = 'Records of learners in {$a}';
$string['refusedbody'] = 'The user or the body is no object.';
$string['refusedcase'] = 'The database of this site takes this key for that of another row, {$a}: they differ in case only.';
$string['refusedchecksum'] = 'The checksum is not 64 hexadecimal digits in small letters.';
$string['refusederased'] = 'This learner\'s data were deleted on this site, as they had asked. Erase the learner in lrs-bridge as well: lrs-bridge erase.';
$string['refusedfeed'] = 'This version of local_lrsbridge knows no such feed. Update the plugin, or leave the feed out.';
$string['refusedkey'] = 'The key is not 1 to {$a} ASCII characters, without control characters and without spaces around it.';
$string['refusedlength'] = 'The field {$a->field} of the body is longer than {$a->length} characters.';
$string['refusednumber'] = 'The field {$a} of the body is no number, or too large a one.';
$string['refusedrow'] = 'This is no row: a row is an object with feed, key, version, checksum, deleted, user and body.';
$string['refusedtime'] = 'The field {$a} of the body is no time in ISO 8601.';
$string['refusedtype'] = 'The field {$a} of the body is a list where a single value is expected, or the reverse.';
$string['refusedversion'] = 'The version is not a whole number from 1 on.';
$string['secret'] = 'Secret';
$string['secret_desc'] = 'Of the same credential.';
$string['settings'] = 'Settings';
$string['sourcehealth'] = 'Data health (lrs-bridge)';
$string['sourceimpacts'] = 'Program impact (lrs-bridge)';
$string['sourcereadiness'] = 'Readiness (lrs-bridge)';
$string['sourcerecords'] = 'Learners on the job (lrs-bridge)';
$string['statenotyet'] = 'Not yet';
$string['stateready'] = 'Ready';
$string['stateunknown'] = 'Not known';
$string['taskmatch'] = 'Match rows without a user to users';
$string['taskpull'] = 'Pull rows from lrs-bridge';
$string['testconnection'] = 'Test connection';
$string['url'] = 'Address of lrs-bridge';
$string['url_desc'] = 'Such as https://bridge.example.com, without /api. Needed for pulling. An address in a private network, or a port other than 80 and 443, must be allowed in Site administration > General > Security > HTTP security.';
$string['userrecord'] = 'On-the-job record';
