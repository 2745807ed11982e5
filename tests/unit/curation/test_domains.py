"""Problems apart by domain, halves of problems without one, and rounds of documents with their questions."""

import dataclasses

import pytest

from fixtures.toy import toy_problems
from posttrain.curation.domains import dealt_out, of_domain, parts
from posttrain.errors import UserError
from posttrain.stage import Problems


def stating(**facts: list[str]) -> Problems:
    """Toy problems whose facts are given, one value per problem."""
    count = len(next(iter(facts.values())))
    problems = toy_problems(count)
    rows = [dict(zip(facts, values)) for values in zip(*facts.values(), strict=True)]
    examples = tuple(dataclasses.replace(e, facts=row) for e, row in zip(problems.examples, rows))
    return dataclasses.replace(problems, examples=examples)


def ids(problems: Problems) -> list[int]:
    return [int(e.id.removeprefix("toy-")) for e in problems.examples]


def test_a_domain_is_what_its_examples_state() -> None:
    problems = stating(domain=["a", "b", "a", "c"])
    assert ids(of_domain(problems, "a")) == [0, 2]
    assert of_domain(problems, "a").verify is problems.verify


def test_a_domain_that_nobody_states_is_refused() -> None:
    with pytest.raises(UserError, match="no example is of the domain 'd'; they state a, b"):
        of_domain(stating(domain=["b", "a"]), "d")
    with pytest.raises(UserError, match="none states one, such as"):
        of_domain(toy_problems(), "d")


def test_problems_without_domain_are_dealt_out_alternately() -> None:
    one, other = dealt_out(toy_problems(5))
    assert (ids(one), ids(other)) == ([0, 2, 4], [1, 3])


def test_problems_that_state_domains_are_not_mixed() -> None:
    with pytest.raises(UserError, match=r"state domains \(a, b\); say which is the source and the target"):
        dealt_out(stating(domain=["a", "b"]))
    with pytest.raises(UserError, match="at least two"):
        dealt_out(toy_problems(1))


def test_rounds_are_disjoint_and_cover_the_documents() -> None:
    problems = toy_problems(7)
    made = parts(problems, problems, 3)
    assert [ids(documents) for documents, _ in made] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [ids(questions) for _, questions in made] == [[0, 3, 6], [1, 4], [2, 5]]


def test_questions_go_with_their_documents() -> None:
    documents = stating(document=["x", "y", "x", "z"])
    questions = stating(document=["z", "y", "x", "x", "y"])
    made = parts(documents, questions, 2)
    assert [(ids(d), ids(q)) for d, q in made] == [([0, 2, 3], [0, 2, 3]), ([1], [1, 4])]


def test_one_round_asks_everything() -> None:
    ((documents, questions),) = parts(toy_problems(2), stating(document=["no", "where", "x"]), 1)
    assert (ids(documents), ids(questions)) == ([0, 1], [0, 1, 2])


@pytest.mark.parametrize(
    ("documents", "questions", "message"),
    [
        (["x"], ["x"], "1 documents cannot be cut into 2 parts"),
        (["x", "y"], ["x", "z"], "'toy-1' asks about 'z', which is no document of the source"),
        (["x", "y"], ["x"], "no question is about the documents of round 2"),
    ],
)
def test_rounds_that_cannot_be_made_are_refused(documents, questions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parts(stating(document=documents), stating(document=questions), 2)
