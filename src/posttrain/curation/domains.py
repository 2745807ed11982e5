"""Problems apart by what they are about: domains, and documents within a domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set

from posttrain.data.subset import those
from posttrain.errors import UserError
from posttrain.stage import Problems
from posttrain.types import Example

DOMAIN = "domain"
"""The fact of an example that names its domain."""
DOCUMENT = "document"
"""The fact of an example that names the document it belongs to; without it, it is a document of its own."""


def of_domain(problems: Problems, domain: str) -> Problems:
    """The problems whose fact ``domain`` has this value, in their order.

    Raises:
        UserError: there are none.
    """
    chosen = those(problems.examples, lambda e: e.facts.get(DOMAIN) == domain)
    if not chosen:
        stated = sorted({str(e.facts[DOMAIN]) for e in problems.examples if DOMAIN in e.facts})
        known = f"they state {', '.join(stated)}" if stated else 'none states one, such as {"facts": {"domain": "…"}}'
        raise UserError(f"no example is of the domain {domain!r}; {known}")
    return _only(problems, chosen)


def dealt_out(problems: Problems) -> tuple[Problems, Problems]:
    """Two halves of problems that state no domain: every other one.

    Raises:
        UserError: some state a domain, so that the halves would mix them, or there is but one problem.
    """
    stated = sorted({str(e.facts[DOMAIN]) for e in problems.examples if DOMAIN in e.facts})
    if stated:
        raise UserError(f"the examples state domains ({', '.join(stated)}); say which is the source and the target")
    if len(problems.examples) < 2:
        raise UserError("two domains need at least two examples")
    return _only(problems, problems.examples[::2]), _only(problems, problems.examples[1::2])


def parts(documents: Problems, questions: Problems, count: int) -> tuple[tuple[Problems, Problems], ...]:
    """Cut documents into ``count`` disjoint parts, each with the questions about it.

    Args:
        documents: dealt out in turn.
        questions: each belongs to the document that its fact ``document`` names, or to the example of its own id.
        count: of parts.

    Raises:
        UserError: fewer documents than parts, a question about no document, or a part without a question.
    """
    names = list(dict.fromkeys(map(_document, documents.examples)))
    if len(names) < count:
        raise UserError(f"{len(names)} documents cannot be cut into {count} parts; use fewer rounds")
    known = set(names)
    lost = next((e for e in questions.examples if _document(e) not in known), None) if count > 1 else None
    if lost is not None:
        raise UserError(
            f"example {lost.id!r} asks about {_document(lost)!r}, which is no document of the source; "
            'give documents and questions the same "document" among their facts, or use one round'
        )
    made = []
    for index in range(count):
        inside = set(names[index::count])
        asked = questions.examples if count == 1 else _about(inside, questions)
        if not asked:
            raise UserError(f"no question is about the documents of round {index + 1}; use fewer rounds")
        made.append((_only(documents, _about(inside, documents)), _only(questions, asked)))
    return tuple(made)


def _document(example: Example) -> str:
    return str(example.facts.get(DOCUMENT, example.id))


def _about(documents: Set[str], problems: Problems) -> Sequence[Example]:
    return those(problems.examples, lambda example: _document(example) in documents)


def _only(problems: Problems, examples: Sequence[Example]) -> Problems:
    return dataclasses.replace(problems, examples=examples)
