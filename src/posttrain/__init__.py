"""`posttrain`: post-training of language models as compositions of a few orthogonal parts in one loop.

The rooms, in the order of events in a training step: ``tasks`` and ``data`` make examples, ``engines`` write text,
``rollouts`` decide what is written from where, ``rewards`` judge it, ``credit`` turns judgements into advantages,
``objectives`` turn those into a loss, ``loop`` does it all again. ``methods`` holds one small file per paper.
"""

__version__ = "0.1.0"
