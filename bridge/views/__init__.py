"""The bridge's HTTP face: parse, call one noun, answer."""

from flask import Blueprint, Flask, Response

from bridge.views import (
    api,
    assets,
    capability,
    effects,
    health,
    live_events,
    lti,
    lti_pages,
    mappings,
    openapi,
    pages,
    people,
    plugins,
    programs,
    reconciliations,
    signing_in,
    webhooks,
)

RESOURCES: tuple[Blueprint, ...] = (
    mappings.blueprint,
    people.blueprint,
    programs.blueprint,
    plugins.blueprint,
    reconciliations.blueprint,
    openapi.blueprint,
)
"""What is under `/api/v1`, a blueprint each."""


def init_app(app: Flask) -> None:
    """Register every blueprint, and the headers that each answer of ours carries."""
    assets.init_app(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(live_events.blueprint)
    app.register_blueprint(signing_in.blueprint)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(effects.blueprint)
    app.register_blueprint(capability.blueprint)
    app.register_blueprint(lti.blueprint)
    app.register_blueprint(lti_pages.blueprint)
    app.register_blueprint(api.blueprint(RESOURCES))
    for page in (signing_in, pages, effects, capability):
        app.after_request_funcs.setdefault(page.blueprint.name, []).append(_harden)
    app.after_request_funcs[signing_in.blueprint.name].insert(0, assets.pack)  # after the others: Flask goes backwards
    app.after_request_funcs.setdefault("api", []).append(_harden)


def _harden(response: Response) -> Response:
    """Nothing from elsewhere, nothing framed, nothing kept by shared caches: pages hold people's records."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; {assets.STYLES}; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "private, no-store"
    return response
