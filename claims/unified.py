"""Claims about unified fine-tuning: the search tree, the embedded tasks, UFT's published files."""

from __future__ import annotations

from claim import COMPARISON_FILES, MEASURED_FILE, RATES, Claim

ARMS = "sft rft sft_rft r3 staged uft"
CONTROL_RATES = "--tune reinforcement.learning_rate=3e-4,1e-3 --tune supervision.learning_rate=3e-4,1e-3"
CREDITS = "--tune credit=standardised,centred,leave_one_out"
LIKELIHOODS = "--tune likelihood=0.001,0.01,0.1"
EVERYTHING = f"{RATES} {CREDITS} {LIKELIHOODS}"
AUTHORS_BASE, KNIGHTS_BASE = "runs/claims/authors_base", "runs/claims/knights_base"
REAL_FILES = ("checks.json", "summary.json", "base.json")

EMBEDDED = (
    Claim(
        "theory",
        "Explored leaves in the search tree",
        "posttrain theory --workers 2",
        ("theory.json", "annealing.json", "theory.png"),
        "theory",
    ),
    Claim(
        "base",
        "The embedded base model at step 0",
        "posttrain evaluate --samples 64 --examples 1000 --max-new-tokens 64",
        ("summary.json",),
        "base",
    ),
    Claim(
        "key_paths",
        "Key paths with misconceptions in the demonstrations, a sparse start (the default task)",
        f"posttrain compare {ARMS} --seeds 5 --workers 2",
        COMPARISON_FILES,
        "comparison",
        EVERYTHING,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
    ),
    Claim(
        "key_paths_longer",
        "The same for twice as many steps",
        f"posttrain compare {ARMS} --seeds 3 --steps 120 --workers 2",
        COMPARISON_FILES,
        "comparison",
        RATES,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
        length="long",
    ),
    Claim(
        "key_paths_random_faults",
        "The same with random faults instead of misconceptions",
        f"posttrain compare {ARMS} --seeds 3 --workers 2 --set task.misconceptions=0.0 --set task.corrupted=0.14",
        COMPARISON_FILES,
        "comparison",
        RATES,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
    ),
    Claim(
        "key_paths_short",
        "Short walks of three steps, faultless demonstrations",
        f"posttrain compare {ARMS} --seeds 3 --set task.misconceptions=0.0 "
        "--set task.horizon=3 --set task.key_length=3 --evaluation-examples 200 --workers 2",
        COMPARISON_FILES,
        "comparison",
        RATES,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
    ),
    Claim(
        "control",
        "Control: faultless demonstrations and four times the answers per step, where nobody should win",
        f"posttrain compare {ARMS} --seeds 3 --steps 120 --workers 2 --set task.misconceptions=0.0 "
        "--set reinforcement.prompts_per_step=32 --set reinforcement.rollouts_per_prompt=8",
        COMPARISON_FILES,
        "comparison",
        CONTROL_RATES,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
        readings=(
            "All but R3 arrive at the same place. R3 never leaves its hints: to the end, most of its training answers "
            "begin inside a demonstration.",
        ),
        length="long",
    ),
    Claim(
        "countdown",
        "Countdown with four numbers, compact form",
        f"posttrain compare {ARMS} --seeds 3 --task countdown --workers 2 "
        "--set task.form=compact_form --set task.counts=[4] --set task.largest_number=12 --set task.largest_value=48",
        COMPARISON_FILES,
        "comparison",
        EVERYTHING,
        effects=(("uft", "rft"), ("uft", "sft"), ("uft", "sft_rft"), ("uft", "r3"), ("uft", "staged")),
        length="long",
    ),
    Claim(
        "precision",
        "What speed costs: UFT on the default task in float32, in bfloat16 and with compiled layers",
        "python claims/precision.py",
        (MEASURED_FILE,),
        "measured",
        method="uft",
        readings=(
            "Nothing but rounding differs between the arms, so that an interval without 0 is chance, or says that the "
            "rounding of products is a noise that does no harm. Losses of more than 3.5 points by bfloat16 are ruled "
            "out by these seeds.",
        ),
    ),
)

PUBLISHED = (
    Claim(
        "authors_base",
        "A base for real data: the questions of UFT's published files, answered in other words",
        "posttrain pretrain --corpus authors",
        ("metrics.jsonl",),
        "pretraining",
        published_files=True,
        length="long",
    ),
    Claim(
        "real_countdown",
        "UFT on the published Countdown file",
        f"posttrain run claims/real_countdown.yaml --model {AUTHORS_BASE} --data $DATA/countdown-train.parquet",
        REAL_FILES,
        "real_data",
        published_files=True,
        length="long",
        needs=("authors_base",),
    ),
    Claim(
        "knights_base",
        "A base for knights and knaves: the published questions, answered in the words of the project's own task",
        "posttrain pretrain --corpus knights",
        ("metrics.jsonl",),
        "pretraining",
        published_files=True,
        length="long",
    ),
    Claim(
        "real_knights",
        "UFT on the published knights-and-knaves file",
        f"posttrain run claims/real_knights.yaml --model {KNIGHTS_BASE} --data $DATA/knights-and-knaves-train.parquet",
        REAL_FILES,
        "real_data",
        published_files=True,
        readings=(
            "The base has read solutions of the project's own task, in words that differ a little: half of the writers "
            "guess who lies, the others look for contradictions seven or nine times in ten. Few end with an answer "
            "block, and greedily the base never does, so that its greedy accuracy is a matter of form; sampled, it is "
            "right in 0.8%. What is learnt is the published wording and the block.",
            "Most wrong answers at the end do not give everybody one role, as the base does not copy names reliably. "
            "Fewer are right than if everybody were named and every role guessed: that would be 4.8%, by the numbers "
            "of people in the file.",
            "With hints of middle length sampled answers lose their form, as two ways of speaking mix, and find it "
            "again when hints are gone. A base that spoke in words of its own altogether lost it for good, however "
            "hard it imitated, and another with the wordings of many writers as well; of these no results are kept.",
        ),
        length="long",
        needs=("knights_base",),
    ),
)
