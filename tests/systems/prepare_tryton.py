"""Make the database that the tests' Tryton begins with, once; run by the Makefile, with the Python of `.systems`.

    .systems/bin/python tests/systems/prepare_tryton.py .systems/crm.sqlite

It takes half a minute: Tryton creates the tables of its CRM and of all that this rests on. Each test then has a copy.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path

REST_KEY = "rest-key-of-the-tests"
"""tests/real_systems.py knows it too."""


def create(database: Path) -> None:
    """Have Tryton create its tables in the file."""
    config = database.with_name("trytond.conf")
    config.write_text(f"[database]\nuri = sqlite://\npath = {database.parent}\n")
    secret = database.with_name("password")
    secret.write_text("only for tests")
    database.touch()
    arguments = ["-c", config, "-d", database.stem, "--all", "--email", "admin@example.com", "-u", "sale_opportunity"]
    subprocess.run(
        [Path(sys.executable).with_name("trytond-admin"), *arguments, "--activate-dependencies", "-l", "en"],
        env={**os.environ, "TRYTONPASSFILE": str(secret)},
        check=True,
    )


def fill(database: Path) -> None:
    """Give it a company with two employees who sell, a customer, and a key to the REST interface."""
    from proteus import Model, config

    # proteus takes the place of the database from the configuration that trytond was given, not from the address.
    config.set_trytond(database=database.stem, config_file=str(database.with_name("trytond.conf")))
    currency = Model.get("currency.currency")(name="Euro", symbol="€", code="EUR", rounding=Decimal("0.01"), digits=2)
    currency.save()
    company = Model.get("company.company")()
    company.party = _party("Acme")
    company.currency = currency
    company.save()
    config.get_config().context["company"] = company.id
    for name in ("Ann", "Bob"):
        party = _party(name)
        contact = party.contact_mechanisms.new()
        contact.type, contact.value = "email", f"{name.lower()}@example.com"
        party.save()
        employee = Model.get("company.employee")(party=party, company=company)
        employee.save()
        user = Model.get("res.user")(name=name, login=name.lower(), email=f"{name.lower()}@example.com")
        user.companies.append(Model.get("company.company")(company.id))
        user.company = company
        user.employees.append(Model.get("company.employee")(employee.id))
        user.employee = employee
        user.save()
    _party("Customer")
    (admin,) = Model.get("res.user").find([("login", "=", "admin")])
    admin.companies.append(Model.get("company.company")(company.id))
    admin.company = company
    admin.save()
    Model.get("res.user.application")(user=admin, application="rest", key=REST_KEY).save()


def _party(name: str) -> object:
    from proteus import Model

    party = Model.get("party.party")(name=name)
    party.save()
    return party


def main(target: Path) -> None:
    """Make it beside its place, and move it there when it is whole."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        database = Path(folder) / target.name
        create(database)
        fill(database)
        whole = database.with_name("whole")
        # What was written last stands beside the file as long as a connection is open; a backup takes it along.
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(whole)) as copy:
            source.backup(copy)
        whole.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
