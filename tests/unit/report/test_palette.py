"""Colours of arms: their own where they have one, and never twice on a page that has room."""

from posttrain.report.palette import METHODS, OTHERS, ROLES, colour, colours

ARMS = [f"arm{number}" for number in range(len(OTHERS))]


def test_arms_of_a_page_differ() -> None:
    assert len(set(colours([*METHODS, *ARMS]).values())) == len(METHODS) + len(ARMS)


def test_the_order_of_the_arms_changes_nothing() -> None:
    assert colours(ARMS) == colours(ARMS[::-1])


def test_methods_and_roles_keep_theirs() -> None:
    found = colours([*ARMS, *METHODS, *ROLES])
    assert {key: found[key] for key in METHODS} == METHODS
    assert {key: found[key] for key in ROLES} == ROLES
    assert colour("uft") == METHODS["uft"]


def test_more_arms_than_colours_still_get_one() -> None:
    many = [f"arm{number}" for number in range(3 * len(OTHERS))]
    assert set(colours(many)) == set(many)
