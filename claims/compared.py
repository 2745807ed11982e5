"""Claims about the other methods: each beside its own baselines and controls, by accuracy."""

from __future__ import annotations

from claim import COMPARISON_FILES, SUPERVISED, Claim

REINFORCED = "--tune reinforcement.learning_rate=3e-4,1e-3,3e-3"
ANY_RATE = "--tune learning_rate=1e-4,3e-4,1e-3,3e-3"
LARGE_STEPS = "--tune supervision.learning_rate=3e-3,1e-2,3e-2,1e-1"
SMALL_PARTS = "--tune supervision.learning_rate=1e-3,3e-3,1e-2,3e-2"
TEACHER = "runs/claims/teacher"

COMPARED = (
    Claim(
        "guided",
        "Demonstrations inside reinforcement: Prefix-RFT and LUFFY on the default task",
        "posttrain compare rft sft_rft prefix_rft whole_prefix=prefix_rft luffy uft --seeds 3 --workers 2 "
        "--set whole_prefix:masked=0.0",
        COMPARISON_FILES,
        "comparison",
        f"{REINFORCED} --tune supervision.learning_rate=1e-4,3e-4,1e-3",
        effects=(
            *(("prefix_rft", other) for other in ("rft", "sft_rft", "whole_prefix")),
            *(("luffy", other) for other in ("rft", "sft_rft")),
        ),
        readings=(
            "Reinforcing a fifth of the prefix, where the policy is least sure, is meant for prefixes of thousands of "
            "tokens. Here a prefix has seven, every one of which has to be learnt, and the whole of it does better.",
            "LUFFY's demonstration earns what the verifier says. Half of the demonstrations are faulty here and are "
            "reinforced as failures, where the other arms imitate them to some degree.",
        ),
    ),
    Claim(
        "imitation",
        "Other losses for faulty demonstrations, each with its own control: IFT, LfU, FAIT, MFT on the default task",
        "posttrain compare sft ift unblended=ift lfu random_step=lfu fait static=fait mft --seeds 3 --workers 2 "
        "--set unblended:blend=0.0 --set random_step:neighbour=random_in_weights "
        "--set static:emphasis.strength=static --set mft:copy.plain=0.5",
        COMPARISON_FILES,
        "comparison",
        SUPERVISED,
        effects=(
            ("ift", "sft"),
            ("ift", "unblended"),
            ("lfu", "sft"),
            ("lfu", "random_step"),
            ("fait", "sft"),
            ("fait", "static"),
            ("mft", "sft"),
        ),
        readings=(
            "FAIT makes pairs only of demonstrations that the verifier accepts, and a walk is one word, so here every "
            "emphasis weighs whole right demonstrations above faulty ones, as a filter would. A constant emphasis does "
            "so throughout; the adaptive one fades as the policy comes to prefer the right variant.",
            "Consistency with a copy of the policy that a step has displaced may work as noise does, which keeps "
            "misconceptions from being learnt by heart; that the step is an undesirable one is not what helps here.",
            "IFT looks ahead along a solution. Its steps depend on the key and on one earlier step only, so there is "
            "little to look ahead to.",
        ),
    ),
    Claim(
        "fitting",
        "Whose demonstrations: GRAPE and S3FT with four annotators on the default task",
        "posttrain compare sft grape least_likely=grape drawn=grape s3ft --seeds 3 --workers 2 "
        "--set task.annotators=4 --set least_likely:choice=least_likely --set drawn:choice=drawn",
        COMPARISON_FILES,
        "comparison",
        SUPERVISED,
        effects=(("grape", "sft"), ("grape", "drawn"), ("grape", "least_likely"), ("s3ft", "sft")),
        readings=(
            "The base finds right walks likelier than walks by a misconception, so the likeliest of four is right more "
            "often. Of annotators who are all right, likelihood could only choose by style.",
            "What S3FT adds is that its rule judge, the verifier, replaces faulty demonstrations where the model's own "
            "answer is right.",
        ),
    ),
    Claim(
        "selected",
        "Which demonstrations of a batch: UDS and Q-Tuning on the default task",
        "posttrain compare sft uds at_random=uds highest_loss=uds q_tuning --seeds 3 --workers 2 "
        "--set at_random:selection=at_random --set highest_loss:selection=highest_loss",
        COMPARISON_FILES,
        "comparison",
        SUPERVISED,
        effects=(("uds", "at_random"), ("uds", "highest_loss"), ("q_tuning", "at_random"), ("q_tuning", "sft")),
        readings=(
            "A quarter of the demonstrations, or an eighth of them, does as well as all, whichever they are: on this "
            "task demonstrations resemble each other, so that there is little for a selection to choose by.",
        ),
    ),
    Claim(
        "adapters",
        "Which parameters: LoRA, SSF, SpIEL, LT-SFT and a random mask on the default task",
        "posttrain compare lora ssf spiel lt_sft random_mask=lt_sft --seeds 3 --workers 2 "
        "--set lt_sft:density=0.01 --set random_mask:density=0.01 --set random_mask:entries=at_random",
        COMPARISON_FILES,
        "comparison",
        SMALL_PARTS,
        effects=(
            ("lora", "random_mask"),
            ("ssf", "lora"),
            ("spiel", "lora"),
            ("spiel", "random_mask"),
            ("lt_sft", "random_mask"),
        ),
        readings=(
            "Faulty demonstrations set the ceiling: training all parameters reaches 41.3 (above), and every family but "
            "SpIEL comes within 5 points of it. What tells them apart is the next comparison, added after this one was "
            "seen.",
            "SpIEL replaces every trained entry at its 20th update and again a share at the 40th, of 60 in all.",
        ),
    ),
    Claim(
        "adapters_faultless",
        "The same parameters with faultless demonstrations",
        "posttrain compare lora ssf spiel lt_sft random_mask=lt_sft --seeds 3 --workers 2 "
        "--set task.misconceptions=0.0 --set lt_sft:density=0.01 --set random_mask:density=0.01 "
        "--set random_mask:entries=at_random",
        COMPARISON_FILES,
        "comparison",
        LARGE_STEPS,
        effects=(
            ("lora", "random_mask"),
            ("ssf", "lora"),
            ("spiel", "lora"),
            ("spiel", "random_mask"),
            ("lt_sft", "random_mask"),
        ),
        readings=(
            "A fixed hundredth of the entries is enough here, whichever it is, at a rate that more of them would not "
            "bear. SpIEL gives up twice in 60 steps what it has trained.",
        ),
    ),
    Claim(
        "teacher",
        "A teacher for distillation: SFT-RFT on the default task",
        "posttrain run sft_rft",
        ("summary.json",),
        "run",
    ),
    Claim(
        "distilled",
        "Who marks the answers: verifier, critic or teacher. RFT, PPO and on-policy distillation on the default task",
        "posttrain compare rft ppo opd reverse=opd forward=opd hard=opd --seeds 3 --workers 2 "
        f"--set teacher.folder={TEACHER}/checkpoint --set reverse:distillation.divergence=reverse_kl "
        "--set forward:distillation.divergence=forward_kl --set hard:distillation.divergence=hard_target",
        COMPARISON_FILES,
        "comparison",
        ANY_RATE,
        effects=(("opd", "rft"), ("ppo", "rft"), ("opd", "hard"), ("reverse", "opd"), ("forward", "opd")),
        readings=(
            "What the teacher cost (see above) belongs to distillation: it was trained with the same number of sampled "
            "answers and a supervised stage before them. A base that is seldom right gives a verifier and a critic "
            "little to mark; a teacher marks every token.",
            "The teacher is sure nearly everywhere, so that the divergences ask for the same.",
        ),
        needs=("teacher",),
    ),
    Claim(
        "pairs",
        "A budget of 1,000 annotations, shared out between demonstrations and pairs: DPO and Balancing the Budget",
        "posttrain compare all_pairs=budget tenth=budget quarter=budget half=budget all_demonstrations=budget "
        "--seeds 3 --workers 2 --set epochs=4 --set all_pairs:share=0.0 --set tenth:share=0.1 "
        "--set quarter:share=0.25 --set half:share=0.5 --set all_demonstrations:share=1.0",
        COMPARISON_FILES,
        "comparison",
        f"{SUPERVISED} --tune preferences.learning_rate=1e-4,3e-4,1e-3",
        effects=(
            ("tenth", "all_pairs"),
            ("quarter", "all_demonstrations"),
            ("quarter", "all_pairs"),
            ("half", "all_demonstrations"),
        ),
        readings=(
            "Pairs alone start cold, and one seed of three ended at 0; a tenth of the budget on demonstrations before "
            "them mends that, as the paper has it.",
            "Half of the demonstrations are faulty, and a pair prefers its demonstration whatever it is. That more "
            "pairs than a tenth's remainder do not pay beside demonstrations may come from that, or from rates that "
            "were tuned one stage after the other.",
        ),
    ),
    Claim(
        "exits",
        "Answers of the first two of four layers: SoFT on the default task",
        "posttrain compare sft soft two_alone=soft --seeds 3 --workers 2 --evaluation-depth 2 "
        "--set soft:exits.every=1 --set two_alone:exits.at_depths.depths=[2]",
        COMPARISON_FILES,
        "comparison",
        SUPERVISED,
        effects=(("soft", "sft"), ("soft", "two_alone")),
        readings=(
            "Two layers that are trained for their own exit alone answer best there; SoFT comes near that with one set "
            "of weights for every depth.",
        ),
    ),
    Claim(
        "exits_whole",
        "The same, answered by all four layers",
        "posttrain compare sft soft --seeds 3 --workers 2 --set soft:exits.every=1",
        COMPARISON_FILES,
        "comparison",
        SUPERVISED,
        effects=(("soft", "sft"),),
    ),
    Claim(
        "self_rewarded",
        "Demonstrations as a reward: SRPPO on the default task",
        "posttrain compare sft srppo --seeds 3 --workers 2",
        COMPARISON_FILES,
        "comparison",
        "--tune supervision.learning_rate=1e-4,3e-4,1e-3 --tune actor_critic.learning_rate=3e-5,1e-4,3e-4",
        effects=(("srppo", "sft"),),
        readings=(
            "The imitator's faults are in its reward: what it finds likelier than the base includes misconceptions. "
            "The supervised rate was tuned first, at an actor rate that every candidate fell apart at, and so hardly.",
        ),
    ),
)
