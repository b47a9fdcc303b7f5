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

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/filelib.php');

/**
 * Asks lrs-bridge over HTTP, by the proxy and the security lists of this site.
 *
 * @package    local_lrsbridge
 * @copyright  2026 lrs-bridge contributors
 * @license    http://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class bridge {
    /** @var int Seconds to find the server, and to have the whole answer. */
    private const TIMEOUTS = ['CURLOPT_CONNECTTIMEOUT' => 10, 'CURLOPT_TIMEOUT' => 60];

    /** @var int Seconds that a clock may be off before it is worth a word. */
    private const CLOCK_TOLERANCE = 60;

    /** @var int cURL's numbers for certificates that do not hold (CURLE_SSL_..., CURLE_PEER_FAILED_VERIFICATION). */
    private const TLS_ERRORS = [35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98];

    /** @var string */
    private $url;

    /** @var string */
    private $key;

    /** @var string */
    private $secret;

    /** @var int|null How many seconds lrs-bridge's clock is ahead of this site's, as of the last answer. */
    private $ahead = null;

    /** @var \curl|null What to ask with; null makes a new one for each question. */
    private $curl;

    /**
     * As the settings say.
     *
     * @param \curl|null $curl For tests.
     * @throws unreachable When they say too little.
     */
    public function __construct(?\curl $curl = null) {
        $this->curl = $curl;
        $this->url = settings::url();
        [$this->key, $this->secret] = settings::credential();
        if (!preg_match('~^https?://[^/\s]+~i', $this->url)) {
            throw new unreachable($this->url === '' ? 'problemnourl' : 'problemurl', $this->url);
        }
        if ($this->key === '' || $this->secret === '') {
            throw new unreachable('problemnokey');
        }
    }

    /**
     * Rows of a feed that changed.
     *
     * @param string $feed
     * @param string|null $after Cursor; null is the beginning.
     * @param int $limit
     * @return array `rows`, `next` (cursor), `more`.
     * @throws unreachable
     */
    public function changes(string $feed, ?string $after, int $limit): array {
        $query = ['feed' => $feed, 'limit' => $limit, 'site' => site::homepage()];
        if ($after !== null) {
            $query['after'] = $after;
        }
        $page = $this->get('/api/v1/changes', $query);
        if (
            !is_array($page['rows'] ?? null) || !is_bool($page['more'] ?? null)
            || !(is_string($page['next'] ?? null) || ($page['next'] ?? null) === null)
            || count($page['rows']) > store::MOST
        ) {
            throw new unreachable('problemanswer', $this->url);
        }
        return $page;
    }

    /**
     * How many seconds lrs-bridge's clock is ahead, if by more than is worth a word; null if not, or not known.
     *
     * @return int|null
     */
    public function clock_ahead(): ?int {
        return $this->ahead !== null && abs($this->ahead) > self::CLOCK_TOLERANCE ? $this->ahead : null;
    }

    /**
     * Ask for JSON.
     *
     * @param string $path
     * @param array $query
     * @return array
     * @throws unreachable
     */
    private function get(string $path, array $query): array {
        $address = $this->url . $path;
        $curl = $this->curl ?? new \curl();
        if ($curl->get_security()->url_is_blocked($address)) {
            throw $this->blocked();
        }
        $curl->setHeader([
            'Accept: application/json',
            'Authorization: Basic ' . base64_encode($this->key . ':' . $this->secret),
            'User-Agent: local_lrsbridge/' . settings::release(),
        ]);
        // No redirects: they would carry the secret elsewhere.
        $answer = $curl->get($address, $query, self::TIMEOUTS + ['CURLOPT_FOLLOWLOCATION' => 0, 'CURLOPT_ENCODING' => '']);
        $info = $curl->get_info();
        $status = (int) (is_array($info) ? ($info['http_code'] ?? 0) : 0);
        $this->read_clock($curl->getResponse());
        if ($curl->get_errno() || $status === 0) {
            throw $this->failed((int) $curl->get_errno(), (string) $curl->error);
        }
        $json = json_decode((string) $answer, true);
        if ($status !== 200) {
            throw $this->answered($status, is_array($json) ? $json : [], $curl->getResponse());
        }
        if (!is_array($json)) {
            throw new unreachable('problemanswer', $this->url);
        }
        return $json;
    }

    /**
     * What a status other than 200 means for whoever has to see to it.
     *
     * @param int $status
     * @param array $problem The problem document (RFC 9457) that was sent, if one was.
     * @param array $headers
     * @return unreachable
     */
    private function answered(int $status, array $problem, array $headers): unreachable {
        $detail = self::shortened(is_string($problem['detail'] ?? null) ? $problem['detail'] : '');
        $a = ['url' => $this->url, 'status' => $status, 'detail' => $detail];
        if ($status >= 300 && $status < 400) {
            $a['location'] = self::shortened(self::header($headers, 'location'));
            return new unreachable('problemredirect', $a);
        }
        switch ($status) {
            case 401:
                return new unreachable('problemkey', $a);
            case 403:
                return new unreachable('problemscope', $a);
            case 404:
                return new unreachable($problem ? 'problemversion' : 'problemnotfound', $a);
            case 410:
                return new unreachable('problemposition', $a);
            case 400:
                foreach ((array) ($problem['errors'] ?? []) as $error) {
                    if (is_array($error) && ($error['parameter'] ?? '') === 'after') {
                        return new unreachable('problemposition', $a);
                    }
                }
                return new unreachable('problemversion', $a);
            case 429:
            case 502:
            case 503:
            case 504:
                return new unreachable('problembusy', $a);
        }
        return new unreachable('problemstatus', $a);
    }

    /**
     * What it means that no answer came.
     *
     * @param int $errno cURL's.
     * @param string $error
     * @return unreachable
     */
    private function failed(int $errno, string $error): unreachable {
        // An address that Moodle blocks gives neither a number nor a status.
        if ($errno === 0) {
            return $this->blocked();
        }
        $a = ['url' => $this->url, 'detail' => self::shortened($error)];
        if (in_array($errno, self::TLS_ERRORS, true)) {
            return new unreachable('problemtls', $a);
        }
        switch ($errno) {
            case CURLE_COULDNT_RESOLVE_HOST:
                return new unreachable('problemhost', $a);
            case CURLE_COULDNT_RESOLVE_PROXY:
                return new unreachable('problemproxy', $a);
            case CURLE_COULDNT_CONNECT:
                return new unreachable('problemconnect', $a);
            case CURLE_OPERATION_TIMEOUTED:
                return new unreachable('problemtimeout', $a);
        }
        return new unreachable('problemnetwork', $a);
    }

    /**
     * The address is one that this site's security settings forbid.
     *
     * @return unreachable
     */
    private function blocked(): unreachable {
        $port = parse_url($this->url, PHP_URL_PORT);
        if (!$port) {
            $port = stripos($this->url, 'https:') === 0 ? 443 : 80;
        }
        return new unreachable('problemblocked', [
            'url' => $this->url,
            'host' => (string) parse_url($this->url, PHP_URL_HOST),
            'port' => $port,
        ]);
    }

    /**
     * Note how far the other clock is from ours.
     *
     * @param array $headers
     */
    private function read_clock(array $headers): void {
        $there = strtotime(self::header($headers, 'date'));
        $this->ahead = $there === false ? null : $there - time();
    }

    /**
     * A header of an answer.
     *
     * @param array $headers
     * @param string $wanted In small letters.
     * @return string Empty when it was not sent.
     */
    private static function header(array $headers, string $wanted): string {
        foreach ($headers as $name => $value) {
            if (strtolower((string) $name) === $wanted) {
                return is_array($value) ? (string) end($value) : (string) $value;
            }
        }
        return '';
    }

    /**
     * A text from outside, short enough to be shown.
     *
     * @param string $text
     * @return string
     */
    private static function shortened(string $text): string {
        return shorten_text(clean_param($text, PARAM_NOTAGS), 300, true);
    }
}
