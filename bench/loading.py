"""Filling the LRS for those parts that read it: real statements, stored once each, and multiplied by PostgreSQL itself.

Storing ten million through `lrs.store` would take half an hour. So each statement of the demo goes through it once,
about a person and a registration that are marks; then SQL writes the rest as the LRS would have: the same payload with
another id, person, registration and instant, and the same mentions but for those two. People come back all the time; a
registration is what somebody does in one go.
"""

from msgspec import Raw
from psycopg import ClientCursor, Connection, connect

from bench import crew
from bench.stage import Stage
from bench.statements import (
    PER_REGISTRATION,
    PERSON_MARK,
    REGISTRATION_MARK,
    Population,
    agent_text,
    marked,
    registration,
)
from lrs import store
from lrs.store import Author, Incoming
from lrs.xapi import validation
from lrs.xapi.terms import Term
from lrs.xapi.versions import Version

LOADERS = 2
_SLICE = 10_000
"""Statements a transaction."""
_MANY = 500_000
"""From so many on, indexes are made afterwards."""
_AUTHOR = Author(
    credential_id=1,
    authority='{"objectType":"Agent","name":"bench","account":{"homePage":"http://127.0.0.1:8080","name":"bench"}}',
    term=Term("agent", "account:http://127.0.0.1:8080|bench"),
)
_STORED_CHARACTERS = len(',"stored":"2026-01-31T13:45:00.000000Z"}')

_MODELS = """
    create schema bench;
    create table bench.model as
        select (row_number() over (order by seq))::int as number, id::text as id, left(payload, -%(end)s) as head
        from statement;
    alter table bench.model add primary key (number);
    create table bench.model_mention as
        select number, key from bench.model join statement on statement.id = model.id::uuid join mention using (seq)
        where key / 2 not in (select term.id from term where text in (%(person_mark)s, %(registration_mark)s));
    create index on bench.model_mention (number);
    truncate statement, mention;
    create table bench.person (number int primary key, id bigint);
    create table bench.registration (number int primary key, id bigint, text text);
    analyze;
"""
_EXTEND = """
    insert into term (digest, kind, text)
        select sha256(convert_to(kind || ':' || text, 'UTF8')), kind, text
        from unnest(%(kinds)s::text[], %(texts)s::text[]) as new (kind, text)
        on conflict do nothing;
    insert into bench.person
        select number::int - 1, id
        from unnest(%(people)s::text[]) with ordinality as given (text, number) join term using (text)
        on conflict do nothing;
    insert into bench.registration
        select number::int - 1, id, text
        from unnest(%(registrations)s::text[]) with ordinality as given (text, number) join term using (text)
        on conflict do nothing;
    analyze;
"""
_MULTIPLY = """
    with made as materialized (
        select %(first)s + n - 1 as seq, gen_random_uuid() as id,
            1 + floor(random() * %(models)s)::int as model,
            floor(random() * %(people)s)::int as person,
            (%(place)s + n - 1) / %(per_registration)s as registration
        from generate_series(1, %(count)s) as n
    ), stored as (
        insert into statement (seq, id, stored, credential_id, payload)
        select seq, made.id, instant, 1,
            replace(replace(replace(head, model.id, made.id::text), %(person_mark)s, person::text),
                %(registration_mark)s, registration.text)
                || ',"stored":"' || to_char(instant at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}'
        from made join bench.model on model.number = made.model
        join bench.registration on registration.number = made.registration
        cross join lateral (select 'epoch'::timestamptz + seq * '1 microsecond'::interval as instant) as timed
    )
    insert into mention (key, seq)
    select key, seq from made join bench.model_mention on model_mention.number = made.model
    union all select 2 * person.id, seq from made join bench.person on person.number = made.person
    union all
    select 2 * registration.id, seq from made join bench.registration on registration.number = made.registration
"""


def load(stage: Stage, name: str, *, size: int, seed: int) -> None:
    """Add statements until there are so many, and then do what autovacuum would do in time."""
    url = stage.settings(name).database_url.replace("postgresql+psycopg", "postgresql")
    population = Population(size)
    with connect(url, autocommit=True) as connection:
        if connection.execute("select to_regnamespace('bench')").fetchone() == (None,):
            _model(connection)
        _extend(connection, population)
        (stored,) = connection.execute("select count(*) from statement").fetchone() or (0,)
        made_afterwards = _drop_indexes(connection) if size - stored >= _MANY else []
        crew.run(_multiply, url, (size - stored) // LOADERS, stored, population, seed, count=LOADERS)
        connection.execute("set maintenance_work_mem = '1GB'")
        for definition in made_afterwards:
            connection.execute(definition)
        connection.execute("vacuum (analyze)")
    stage.settle()


def _model(connection: Connection) -> None:
    with connection.transaction():
        batch = [Incoming(Raw(one), validation.validate(one, Version.ONE)) for one in marked()]
        store.store(connection, batch, author=_AUTHOR, version=Version.ONE)
    marks = {"person_mark": agent_text(PERSON_MARK), "registration_mark": REGISTRATION_MARK}
    _execute(connection, _MODELS, {"end": _STORED_CHARACTERS} | marks)


def _extend(connection: Connection, population: Population) -> None:
    people = [agent_text(number) for number in range(population.people)]
    registrations = [registration(number) for number in range(population.registrations)]
    kinds = ["agent"] * len(people) + ["registration"] * len(registrations)
    values = {"kinds": kinds, "texts": people + registrations, "people": people, "registrations": registrations}
    _execute(connection, _EXTEND, values)


def _execute(connection: Connection, commands: str, values: dict[str, object]) -> None:
    with connection.transaction(), ClientCursor(connection) as cursor:  # which may send many commands at once
        cursor.execute(commands, values)


def _multiply(number: int, url: str, count: int, stored: int, population: Population, seed: int) -> None:
    place = stored + number * count
    with connect(url) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("select setseed(%s)", [1 / (2 + seed * LOADERS + number)])
        (models,) = connection.execute("select count(*) from bench.model").fetchone() or (0,)
        crew.ready()
        while count > 0:
            here = min(count, _SLICE)
            (first,) = connection.execute("select take_statement_numbers(%s)", [here]).fetchone() or (0,)
            values: dict[str, object] = {"first": first, "count": here, "models": models}
            values |= {"people": population.people, "place": place, "per_registration": PER_REGISTRATION}
            values |= {"person_mark": PERSON_MARK, "registration_mark": REGISTRATION_MARK}
            connection.execute(_MULTIPLY, values)
            connection.commit()
            count, place = count - here, place + here


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop what would be built up row by row; gives the commands that make it again."""
    again = []
    for table, constraint in (("mention", "pk_mention"), ("statement", "uq_statement_id")):
        query = "select pg_get_constraintdef(oid) from pg_constraint where conname = %s"
        ((definition,),) = connection.execute(query, [constraint]).fetchall()
        connection.execute(f"alter table {table} drop constraint {constraint}")
        again.append(f"alter table {table} add constraint {constraint} {definition}")
    ((definition,),) = connection.execute("select pg_get_indexdef('ix_statement_lane'::regclass)").fetchall()
    connection.execute("drop index ix_statement_lane")
    return [*again, definition]
