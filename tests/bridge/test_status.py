"""What is still to be done is told step by step, each with its number, until all is settled."""

from company import Company, done

from bridge import context, jobs, status
from lrs import db


def left() -> list[str]:
    db.session.rollback()
    return list(status.remaining(db.session))


def test_each_step_that_is_left_is_named_with_its_number_until_nothing_is(company: Company) -> None:
    assert left() == ["no documents are in force"]

    jobs.load_documents()
    company.post(done("ann"), done("bo"))
    assert left() == [
        "2 stored rows to be read",
        "source crm to be read",
        "source helpdesk to be read",
        "source staff to be read",
        "rosters to be read",
        "calm to be delivered to folder",
    ]

    company.pull()
    assert left()[0] == "11 stored rows to be read"

    jobs.map_items()
    assert left() == [
        "rosters to be read",
        "5 identities to be matched",
        "8 changes of people's records to be built",
        "calm to be delivered to folder",
    ]
    assert not status.settled(db.session)

    jobs.build_records()
    assert left() == ["calm to be delivered to folder"]

    company.work()
    assert left() == []
    assert status.settled(db.session)


def test_what_stands_in_the_way_is_told_with_what_is_left(company: Company) -> None:
    (company.folder / "tickets.csv").unlink()
    reports = context.settings().data_dir / "reports"
    reports.parent.mkdir()
    reports.write_text("a file where a folder should be")
    company.post(done("ann"))

    company.run()

    source, delivery = left()
    assert source.startswith("source helpdesk to be read (")
    assert "tickets.csv" in source
    assert delivery.startswith("calm to be delivered to folder (")
    assert str(reports) in delivery
