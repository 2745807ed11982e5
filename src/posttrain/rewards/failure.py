"""A verifier that fails is a bug, and the example that provoked it must be shown."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from posttrain.errors import UserError
from posttrain.types import Example

SHOWN_CHARACTERS = 2_000


class VerifierError(Exception):
    """A verifier raised or returned nonsense. The message names the example and shows the response."""


@dataclass(frozen=True)
class Judging:
    """A block in which ``response`` is being judged: an exception leaves it as a :class:`VerifierError`.

    The original exception is the cause. A :class:`posttrain.errors.UserError` passes unchanged, it is not about the
    response.
    """

    example: Example
    response: str

    def __enter__(self) -> None:
        """Nothing to set up."""
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say which example it was."""
        if isinstance(error, Exception) and not isinstance(error, VerifierError | UserError):
            raise failure(self.example, self.response, f"{type(error).__name__}: {error}") from error


def failure(example: Example, response: str, problem: str) -> VerifierError:
    """The error for ``problem``, with the example's id, its answer and the response (both cut if very long)."""
    shown, answer = (
        text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
        for text in (repr(response), repr(example.answer))
    )
    return VerifierError(
        f"the verifier failed on example {example.id!r}: {problem}\n  response: {shown}\n  answer: {answer}"
    )
