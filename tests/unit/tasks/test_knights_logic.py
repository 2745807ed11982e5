"""The logic behind knights and knaves: two ways to compute truth agree, reasoning ends in the solution."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.tasks.knights_and_knaves import KnightsAndKnaves
from posttrain.tasks.knights_forms import CompactForm, formula, sentence
from posttrain.tasks.knights_logic import Claim, solutions, structure, truth
from posttrain.tasks.knights_reasoning import Assumed, Excluded, GoneBack, think

PEOPLE = 3
atoms = st.builds(Claim, st.sampled_from(["telling-truth", "lying"]), st.integers(0, PEOPLE - 1))
claims = st.recursive(
    atoms,
    lambda part: (
        st.builds(lambda p: Claim("not", parts=(p,)), part)
        | st.builds(lambda k, p, q: Claim(k, parts=(p, q)), st.sampled_from(["and", "or", "->", "<=>"]), part, part)
    ),
    max_leaves=4,
)
puzzles = st.tuples(claims, claims, claims)


def atom(person: int, knight: bool = True) -> Claim:
    return Claim("telling-truth" if knight else "lying", person)


@given(puzzles)
def test_solutions_are_the_worlds_in_which_exactly_the_knights_are_right(puzzle: tuple[Claim, ...]) -> None:
    worlds = [
        world
        for world in product((False, True), repeat=PEOPLE)
        if all(truth(claim, dict(enumerate(world))) == world[speaker] for speaker, claim in enumerate(puzzle))
    ]
    assert sorted(solutions(puzzle)) == sorted(worlds)


@given(claims, st.dictionaries(st.integers(0, PEOPLE - 1), st.booleans()))
def test_what_is_known_from_part_of_the_roles_stays_true(claim: Claim, known: dict[int, bool]) -> None:
    value = truth(claim, known)
    for world in product((False, True), repeat=PEOPLE):
        full = {**dict(enumerate(world)), **known}
        if value is not None:
            assert truth(claim, full) == value


@given(puzzles)
@settings(max_examples=200)
def test_reasoning_ends_in_a_solution_and_excludes_only_the_impossible(puzzle: tuple[Claim, ...]) -> None:
    worlds = solutions(puzzle)
    if not worlds:
        with pytest.raises(ValueError, match="contradict"):
            think(puzzle)
        return
    thoughts = think(puzzle)
    last = thoughts[-1]
    assert isinstance(last, Assumed)
    assert tuple(last.known[person] for person in range(PEOPLE)) in worlds
    for thought in thoughts:
        if isinstance(thought, Excluded):
            extended = {**thought.known, thought.person: thought.role}
            assert truth(puzzle[thought.speaker], extended) == (not extended[thought.speaker])
        if isinstance(thought, GoneBack):
            wrong = {**thought.known, thought.person: True}
            assert not any(all(world[p] == role for p, role in wrong.items()) for world in worlds)


@given(puzzles, st.permutations(range(PEOPLE)))
def test_seating_does_not_change_the_structure(puzzle: tuple[Claim, ...], order: list[int]) -> None:
    seat = {person: order.index(person) for person in range(PEOPLE)}

    def moved(claim: Claim) -> Claim:
        parts = tuple(moved(part) for part in claim.parts)
        return Claim(claim.kind, seat.get(claim.person, -1), parts)

    assert structure([moved(puzzle[person]) for person in order]) == structure(puzzle)


def test_different_puzzles_have_different_structures() -> None:
    simple = [atom(1), atom(0, False), Claim("not", parts=(atom(0),)), Claim("or", parts=(atom(0), atom(1)))]
    keys = {structure([first, second]) for first, second in product(simple, repeat=2)}
    assert len(keys) == 9  # a denied knight is a knave, and the order of the two speakers does not count


def test_claims_in_words_and_symbols() -> None:
    names = ("Ada", "Bruno")
    both = (atom(0), atom(1, False))
    assert sentence(Claim("->", parts=both), names) == "If Ada is a knight then Bruno is a knave"
    assert sentence(Claim("<=>", parts=both), names) == "Ada is a knight if and only if Bruno is a knave"
    assert sentence(Claim("not", parts=both[1:]), names) == "Bruno is not a knave"
    symbols = [formula(Claim(kind, parts=both), "AB") for kind in ("and", "or", "->", "<=>")]
    assert symbols == ["A+&B-", "A+|B-", "A+>B-", "A+=B-"]
    assert formula(Claim("not", parts=both[1:]), "AB") == "!B-"


def test_every_puzzle_has_one_solution_and_its_chunks_have_the_known_shape() -> None:
    examples = KnightsAndKnaves().examples("train", 60, 0)
    assert {len(example.answer.names) for example in examples} == {3, 4, 5, 6, 7}
    for example in examples:
        chunks = example.demonstrations[0].chunks
        people = len(example.answer.names)
        assert chunks[-people].startswith(f"Therefore, (1) {example.answer.names[0]} is a ")
        starts = ("Assume ", "No contradiction ", "All possibilities for ")
        assert all(chunk.startswith(starts) or " cannot be a " in chunk for chunk in chunks[:-people])


def test_the_compact_form_shows_what_is_assumed() -> None:
    task = KnightsAndKnaves(people=(3,), form=CompactForm())
    for example in task.examples("train", 30, 0):
        lines = example.demonstrations[0].chunks
        signs = "".join(f"{n}{'+' if r else '-'}" for n, r in zip("ABC", example.answer.solution, strict=True))
        assert lines[-1].endswith(f" ok ; {signs}\n")
        assert example.demonstrations[0].tail == f"= {signs}"
