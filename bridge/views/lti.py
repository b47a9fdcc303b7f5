"""`/lti`: how an LMS signs people in to us (LTI 1.3): login, launch, our keys, registration.

These addresses are open, for a platform's signed message is what opens a session; what a session shows is in
`bridge.views.lti_pages`. Nothing leads to an address that was sent: where a launch goes is read from it and built anew.

A browser proves that it began a login by a cookie. Where cookies are kept out of frames it does so by the platform's
storage (https://www.imsglobal.org/spec/lti-pm-s/v0p1), or the login is begun once more in a window of its own.
"""

import logging
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, Response, current_app, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as AnyResponse

from bridge import context
from bridge.lti import keys, logins, platforms, rosters, sessions
from bridge.models import LtiPlatform
from bridge.views import assets, strangers
from connectors import ConnectorError, KeySets, SourceError, SourceRefused, lti
from lrs import db

log = logging.getLogger(__name__)

blueprint = Blueprint("lti", __name__, template_folder="templates", url_prefix="/lti")
strangers.hold(blueprint, logins="login", answer=lambda text: render_template("lti_refused.html", text=text))

_KEY_SETS = "lrs-bridge-lti-keys"
_REPEATED = ("iss", "login_hint", "target_link_uri", "lti_message_hint", "lti_deployment_id", "client_id")
"""What begins a login once more, in a window of its own."""
_LONGEST = 4096
"""Characters of each of these; Canvas's hints have some 1,000."""


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Begin a login: send the browser back to its platform with a state and nonce of this login's own."""
    sent = {name: request.values[name] for name in _REPEATED if request.values.get(name)}
    if any(len(value) > _LONGEST or "\0" in value for value in sent.values()):
        raise lti.LaunchRefused("The platform has sent a login that is too long.")
    _program(sent.get("target_link_uri", ""))
    platform = platforms.sending(db.session, sent.get("iss", ""), sent.get("client_id"), sent.get("lti_deployment_id"))
    g.frame_origins = platforms.origins(platform)
    begun = logins.begin(db.session, platform, sent, now=_now())
    address = lti.login_address(
        platforms.wire(db.session, platform),
        state=begun.state,
        nonce=begun.nonce,
        redirect_uri=tool().launch,
        login_hint=sent.get("login_hint", ""),
        message_hint=sent.get("lti_message_hint"),
    )
    db.session.commit()
    response: AnyResponse = redirect(address)
    if frame := request.values.get("lti_storage_target"):
        storage = {"frame": frame, "origin": _origin(platform), "key": begun.state, "value": begun.browser}
        response = Response(render_template("lti_storing.html", address=address, storage=storage))
    _set_cookie(response, _cookie(begun.state), begun.browser, path=url_for("lti.launch"), lasts=logins.LASTS.seconds)
    return response


@blueprint.post("/launch")
def launch() -> ResponseReturnValue:
    """Open a session for whoever a platform's message speaks of, once."""
    state = request.form.get("state", "")
    if "error" in request.form:
        raise lti.LaunchRefused(f"Your LMS does not launch this page: {_plain(request.form['error'])}.")
    given, kept = request.form.get("browser"), request.cookies.get(_cookie(state))
    if not (given or kept):
        return _unproved(state)
    taken = logins.take(db.session, state, given or kept or "", now=_now())
    db.session.commit()  # whatever comes of it: this state was good for one try
    g.frame_origins = platforms.origins(taken.platform)
    found = lti.read_launch(
        platforms.wire(db.session, taken.platform),
        request.form.get("id_token", ""),
        state=state,
        nonce=taken.nonce,
        keys=current_app.extensions.setdefault(_KEY_SETS, KeySets()),
    )
    program = _program(found.target)
    rosters.note(db.session, taken.platform, found, now=_now())
    started = sessions.start(db.session, taken.platform, found, now=_now())
    db.session.commit()
    return _opened(taken.platform, started, program, has_cookies=bool(kept))


@blueprint.get("/jwks")
def jwks() -> Response:
    """Publish the keys that we sign with."""
    try:
        keys.signing(db.session, context.tokens())
        db.session.commit()
    except SourceRefused as err:
        log.warning("there is no key to sign with for LTI: %s", err)
        db.session.rollback()
    response = jsonify(keys.published(db.session, now=_now()))
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@blueprint.get("/config.json")
def configuration() -> Response:
    """Tell Canvas how to set us up: a developer key is made from this address; `?grades=yes` asks for gradebooks."""
    return jsonify(lti.canvas_configuration(tool(grades=request.args.get("grades") == "yes")))


@blueprint.get("/configure/<invitation>")
def configure(invitation: str) -> ResponseReturnValue:
    """Register with the platform that opens this address, if it was invited (LTI Dynamic Registration)."""
    address = request.args.get("openid_configuration", "")
    if not address:
        raise lti.LaunchRefused(
            "This address is for your LMS: paste it where tools are registered (Moodle: Manage tools, Tool URL)."
        )
    issuer, given = platforms.accept(db.session, invitation, now=_now())
    # Where it fails, the invitation stays: taking it away is undone with everything else.
    asked = tool(grades=given.grades)
    found = lti.register(asked, issuer=issuer, configuration_url=address, token=request.args.get("registration_token"))
    row = platforms.register(db.session, found.platform, given, family=found.family)
    told, g.frame_origins = platforms.told(db.session, row), platforms.origins(row)
    db.session.commit()
    return render_template("lti_registered.html", told=told, close=_origin(row))


@blueprint.errorhandler(ConnectorError)
def refuse(error: ConnectorError) -> tuple[str, int]:
    """Say why there is no session; nothing of what was sent is repeated."""
    db.session.rollback()
    log.warning("%s was refused: %s", request.path, error)
    if isinstance(error, SourceError) and not isinstance(error, SourceRefused):
        return render_template("lti_refused.html", text=f"Your LMS could not be asked. {error}"), 503
    return render_template("lti_refused.html", text=str(error)), 403 if request.method == "POST" else 400


@blueprint.after_request
def harden(response: Response) -> Response:
    """As all pages, but that the platform may show them in a frame, and none else."""
    return frame_in(response, g.get("frame_origins"), sends_to=g.get("sends_to"))


def frame_in(response: Response, origins: list[str] | None, *, sends_to: str | None = None) -> Response:
    """Let these origins show a page of ours; None: whichever are registered, for a page that shows nobody's data."""
    known = platforms.all_origins(db.session) if origins is None else origins
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; {assets.STYLES}; script-src 'self'; img-src 'self'; "
        f"form-action 'self'{f' {sends_to}' if sends_to else ''}; base-uri 'none'; "
        f"frame-ancestors 'self' {' '.join(known)}"
    ).rstrip()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def tool(*, grades: bool = False) -> lti.Tool:
    """Give what we say of ourselves; with what it takes to write into gradebooks."""
    scopes = (*lti.SCOPES, *lti.GRADE_SCOPES) if grades else lti.SCOPES
    return lti.Tool(context.settings().public_url, scopes=scopes)


def set_session_cookie(response: AnyResponse, started: sessions.Started) -> None:
    """Let this browser open this session; another course in another tab has a cookie of its own."""
    path = url_for("lti_pages.home", number=started.id)
    _set_cookie(response, sessions.COOKIE, started.secret, path=path, lasts=sessions.LASTS.seconds)


def _set_cookie(response: AnyResponse, name: str, value: str, *, path: str, lasts: int) -> None:
    secure = context.settings().public_url.startswith("https://")
    response.set_cookie(
        name,
        value,
        max_age=lasts,
        path=path,
        secure=secure,
        httponly=True,
        samesite="None" if secure else "Lax",  # browsers take None only with Secure
        partitioned=secure,
    )


def _unproved(state: str) -> Response:
    """Answer a launch that comes without our cookie: ask the platform's storage for it, or offer a new window.

    Some browsers keep cookies back from another site's POST alone: the page sends it once more, from our own site.
    """
    platform, sent = logins.sent(db.session, state, now=_now())
    g.frame_origins = platforms.origins(platform)
    g.sends_to = _origin(platform)  # where the form's login leads on to: browsers hold redirects to the policy too
    storage = {"origin": _origin(platform), "key": state}
    stored = {"state": state, "id_token": request.form.get("id_token", "")}
    tried = "retried" in request.form
    return Response(render_template("lti_proving.html", sent=sent, stored=stored, storage=storage, tried=tried))


def _opened(platform: LtiPlatform, started: sessions.Started, program: str | None, *, has_cookies: bool) -> AnyResponse:
    page = url_for("lti_pages.home", number=started.id, program=program)
    if has_cookies:
        response: AnyResponse = redirect(page, 303)
    else:
        row = sessions.find(db.session, started.id, started.secret, now=_now())
        if row is None:
            raise lti.LaunchRefused("The session has ended.")
        ticket = sessions.ticket(db.session, row, now=_now())
        db.session.commit()
        text = render_template(
            "lti_window.html", number=started.id, ticket=ticket, program=program, title=platform.title
        )
        response = Response(text)
    set_session_cookie(response, started)
    return response


def _program(target: str) -> str | None:
    """Read which program a link leads to; raises lti.LaunchRefused for an address that is not ours."""
    parts, ours = urlsplit(target), urlsplit(tool().launch)
    if (parts.scheme, parts.netloc, parts.path.rstrip("/")) != (ours.scheme, ours.netloc, ours.path):
        raise lti.LaunchRefused(f"This link does not lead to {tool().launch}. Its address is wrong in your LMS.")
    return next(iter(parse_qs(parts.query).get("program", ())), None)


def _origin(platform: LtiPlatform) -> str:
    return platforms.origin(platform.auth_url)


def _cookie(state: str) -> str:
    """Name the cookie of a login, of which several may be under way; a state that is none of ours names none."""
    short = state.removeprefix("state-")[:12]
    return f"lti-{short}" if short.replace("-", "").replace("_", "").isalnum() and short.isascii() else "lti-none"


def _plain(word: str) -> str:
    return "".join(sign for sign in word[:60] if sign.isascii() and (sign.isalnum() or sign in "_ "))


def _now() -> datetime:
    return datetime.now(UTC)
