"""A task in another language: LT-SFT's sum of a language's vector and a task's, with labels in one language alone.

``python claims/languages.py --out FOLDER``: two languages of the same grammar, each with words of its own, share full
stops, numerals and names. A tiny base reads nineteen texts of the first for every one of the second. The task, to say
what a sentence is about, has labels in the first language alone; vectors are learnt from the same base, of texts of the
second language and of the task in the first, and added. Questions are held-out sentences of the second. Rates are
chosen by what may be known: that of the language by how likely it makes other texts of the second language, that of the
task by its accuracy in the first, with a base and sentences of a seed of their own.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from claim import MEASURED_FILE
from judged import SEEDS, TUNING_SEED, Tried, chosen
from measures import Outcome, Pairs
from measuring import entry

from posttrain.adapters.masked import AtRandom, MostMoved
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.loop import finish, start, train
from posttrain.methods import lt_sft
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.pretraining.architecture import Shape, new_model, number_tokenizer
from posttrain.pretraining.pretrain import stage as reading
from posttrain.pretraining.size import Size
from posttrain.recipe import Recipe, Workspace
from posttrain.rewards.verified import Verified
from posttrain.runs import folder
from posttrain.runs.checkpoint import save_model
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling
from posttrain.stage import Problems, Stage
from posttrain.tasks.answers import right, wrong
from posttrain.text import Text
from posttrain.types import Demonstration, Example, Verdict

TOPICS, WORDS_PER_TOPIC, NAMES_PER_TOPIC, WORDS_PER_SENTENCE = 4, 24, 3, 6
ON_TOPIC, NAMED = 0.8, 0.15
"""How often a word belongs to the sentence's topic, and how often such a word is a name."""
FIRST, SECOND, NAMES = 0x4E00, 0x5E00, 0x3041
"""Where the words of each language, and the names, begin among the characters."""
SECOND_SHARE, ASKED = 0.05, 0.1
"""Of the base's texts: how many are of the second language; how many end with a question and some numeral."""
SIZE = Size(Shape(hidden=96, layers=4, context=32, initializer_range=0.08), steps=3000, documents_per_step=64)
TEXTS, LABELLED, QUESTIONS = 2000, 400, 400
LANGUAGE_STEPS, TASK_STEPS, DENSITY = 300, 100, 0.08
RATES = ("3e-4", "1e-3", "3e-3")
RUNTIME = local_runtime("float32")

SPARSE, RANDOM, DENSE, TASK_ALONE = "LT-SFT", "random entries", "all entries", "the task's vector alone"
CLAIMED: Pairs = tuple((SPARSE, other) for other in (TASK_ALONE, RANDOM, DENSE))
THERE = Outcome("the second language, without labels", "points", "more", CLAIMED)
HERE = Outcome("the first language", "points", "more", ())


@dataclass(frozen=True)
class Arm:
    """How vectors are learnt.

    Args:
        density: share of the entries.
        entries: which.
        searching: whether as many dense steps come first; others take those steps with their own entries.
    """

    density: float
    entries: MostMoved | AtRandom = MostMoved()
    searching: bool = False


ARMS: Mapping[str, Arm] = {
    SPARSE: Arm(DENSITY, searching=True),
    RANDOM: Arm(DENSITY, AtRandom()),
    DENSE: Arm(1.0),
}


def sentence(numbers: random.Random, language: int) -> tuple[str, int]:
    """Words mostly about one topic, and which."""
    topic, written = numbers.randrange(TOPICS), ""
    for _ in range(WORDS_PER_SENTENCE):
        about = topic if numbers.random() < ON_TOPIC else numbers.randrange(TOPICS)
        if about == topic and numbers.random() < NAMED:
            written += chr(NAMES + about * NAMES_PER_TOPIC + numbers.randrange(NAMES_PER_TOPIC))
        else:
            written += chr(language + about * WORDS_PER_TOPIC + numbers.randrange(WORDS_PER_TOPIC))
    return f"{written}.", topic


def write(numbers: random.Random) -> str:
    """What the base reads: sentences, some of them with a question that is answered by chance."""
    language = SECOND if numbers.random() < SECOND_SHARE else FIRST
    asked = f"?{numbers.randrange(TOPICS)}" if numbers.random() < ASKED else ""
    return sentence(numbers, language)[0] + asked


def texts(seed: int, part: str, count: int) -> Problems:
    """Sentences of the second language."""
    numbers = random.Random(f"languages/{seed}/{part}")
    written = [sentence(numbers, SECOND)[0] for _ in range(count)]
    return problems(Example(f"{at}", "", None, (Demonstration((text,)),)) for at, text in enumerate(written))


def labelled(seed: int, part: str, language: int, count: int) -> Problems:
    """Sentences, and what they are about."""
    numbers = random.Random(f"languages/{seed}/{part}")
    drawn = [sentence(numbers, language) for _ in range(count)]
    return problems(
        Example(f"{at}", f"{text}?", str(topic), (Demonstration((str(topic),)),))
        for at, (text, topic) in enumerate(drawn)
    )


def problems(examples: Iterable[Example]) -> Problems:
    """With the verifier."""
    return Problems(tuple(examples), verify, Verified(verify))


def verify(response: str, example: Example) -> Verdict:
    """The numeral alone."""
    return right() if response.strip() == example.answer else wrong("another topic")


def base(out: Path, seed: int) -> Path:
    """The model that has read both languages, made when it is first asked for."""
    path = out / f"base-seed{seed}"
    if not path.is_dir():
        alphabets = [chr(begin + at) for begin in (FIRST, SECOND) for at in range(TOPICS * WORDS_PER_TOPIC)]
        names = [chr(NAMES + at) for at in range(TOPICS * NAMES_PER_TOPIC)]
        text = Text(number_tokenizer("".join([*alphabets, *names, ".", "?"])))
        model = new_model(SIZE.shape, text.vocabulary_size, text.end, seed)
        choose_attention(model)
        policy = Policy(model, text)
        train(start(reading(SIZE, write), policy, seed), RUNTIME, lambda record: True)
        save_model(path, policy)
    return path


def carried_out(recipe: Recipe, policy: Policy, seed: int) -> Policy:
    """The policy after every part of the recipe."""
    workspace = Workspace(policy, HuggingFaceEngine(), seed)
    for part in recipe.stages:
        if isinstance(part, Stage):
            session = start(part, policy, seed, remembered=workspace.remembered)
            train(session, RUNTIME, lambda record: True)
            finish(session)
        else:
            workspace = part.run(workspace)
    return policy


def learnt(arm: Arm, given: Problems, begin: Path, steps: int, rate: str, seed: int, onto: Path | None) -> Policy:
    """A vector of the arm's kind on top of ``begin``, moved onto another model if that is given.

    Every arm takes twice ``steps`` updates: to search and to train, or to train.
    """
    supervision = replace(lt_sft.TASK, prompts_per_step=32, learning_rate=float(rate))
    recipe = lt_sft.recipe(
        given,
        steps=steps if arm.searching else 2 * steps,
        dense_steps=None if arm.searching or isinstance(arm.entries, AtRandom) else 0,
        density=arm.density,
        entries=arm.entries,
        transfer=None if onto is None else str(onto),
        supervision=supervision,
    )
    return carried_out(recipe, load(begin), seed)


def load(path: Path) -> Policy:
    """A stored model, ready to train."""
    return load_policy(path, RUNTIME)


def language(out: Path, name: str, seed: int, rate: str) -> Path:
    """The base with an arm's vector of the second language."""
    path = out / f"language-{name.replace(' ', '-')}-{rate}-seed{seed}"
    if not path.is_dir():
        given = texts(seed, "texts", TEXTS)
        save_model(path, learnt(ARMS[name], given, base(out, seed), LANGUAGE_STEPS, rate, seed, None))
    return path


@torch.no_grad()
def likelihood(policy: Policy, seed: int) -> list[float]:
    """Of other texts of the second language: the mean log-probability of a token, per text."""
    given = [policy.text.encode(e.demonstrations[0].text) for e in texts(seed, "other texts", QUESTIONS).examples]
    read = torch.stack(given)  # sentences are equally long
    logprobs = torch.log_softmax(policy.model(input_ids=read[:, :-1]).logits.float(), -1)
    return [float(mean) for mean in logprobs.gather(2, read[:, 1:, None])[:, :, 0].mean(1)]


def answered(policy: Policy, given: Problems) -> list[float]:
    """100 for each right answer, else 0."""
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    prompts = [policy.text.encode(example.prompt) for example in given.examples]
    groups = engine.generate(prompts, Sampling(0.0, 1), 1, torch.Generator())
    said = [policy.text.decode(group[0].tokens) for group in groups]
    return [100.0 * (verify(text, example).score == 1.0) for text, example in zip(said, given.examples)]


def task(out: Path, name: str, seed: int, rate: str, onto: Path | None = None) -> Policy:
    """The base with an arm's vector of the task, or a model of the second language with it."""
    given = labelled(seed, "task", FIRST, LABELLED)
    return learnt(ARMS[name], given, base(out, seed), TASK_STEPS, rate, seed, onto)


def tuned(out: Path, name: str, tried: Tried) -> tuple[str, str]:
    """An arm's rates: of the language, and of the task."""
    seed = TUNING_SEED
    made = {rate: likelihood(load(language(out, name, seed, rate)), seed) for rate in RATES}
    for_language = chosen(f"{name}, log-probability of the second language by its rate", made, tried)
    validation = labelled(seed, "validation", FIRST, QUESTIONS)
    right_here = {rate: answered(task(out, name, seed, rate), validation) for rate in RATES}
    return for_language, chosen(f"{name}, accuracy in the first language by the task's rate", right_here, tried)


def measure(out: Path) -> None:
    """Choose rates, learn vectors, add them, ask, write."""
    tried: Tried = []
    found: dict[Outcome, dict[str, list[Sequence[float]]]] = {THERE: {}, HERE: {}}
    for name in ARMS:
        for_language, for_task = tuned(out, name, tried)
        for seed in SEEDS:
            here, there = (labelled(seed, "held out", language, QUESTIONS) for language in (FIRST, SECOND))
            alone = task(out, name, seed, for_task)
            summed = task(out, name, seed, for_task, language(out, name, seed, for_language))
            answers = {name: summed} | ({TASK_ALONE: alone} if name == SPARSE else {})
            for arm, policy in answers.items():
                found[THERE].setdefault(arm, []).append(answered(policy, there))
                found[HERE].setdefault(arm, []).append(answered(policy, here))
    outcomes = [entry(outcome, values, None) for outcome, values in found.items()]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes, "tried": tried})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
