"""The robust method's fixed numbers. Each was chosen on real vectors and judged on others (docs/EXPERIMENTS.md).

What must stay out: values that a user sets (tac_pipeline/settings/keys.py) and anything that looks at vectors.
"""

from __future__ import annotations

# The whitening in which neighbors are found: -0.15 to -0.5 help alike.
WHITENING_POWER = 0.3

# Nearest images that stand in for an image's group, as long as there are no groups.
NEIGHBORS = 10

# Of the scatter around groups beside that around neighbors: groups alone lock in what they are, in small sets most.
GROUP_SHARE = 0.5
# Of the identity beside the scatter: less of it overfits where there are as many images as directions.
SHRINKAGE = 0.3
# Images that the scatter around neighbors is measured with, once neighbors are looked for by image and word.
SCATTER_IMAGES = 10_000

# The text beside the image's 1. Once both are whitened within groups, 0.35 to 1 differ by less than seeds do on
# each of five sets: there is nothing to choose. Nouns that do not fit do little harm.
TEXT_WEIGHT = 0.7

# Nouns around each center that are encoded in all templates, for each that the center gets. With 12, and prompts that
# are as far apart as a real CLIP's, 99 % of the chosen nouns are those that all nouns in all templates would give.
SHORTLIST_FACTOR = 12

# Images that are looked at to say how much the nouns say of them.
FIT_IMAGES = 3000

# tau is so many standard deviations of the cosines, each noun's mean taken off: 0.03 to 0.04 for CLIP ViT-B/32. An
# image's text is then a smooth blend of what the vocabulary spans.
TAU_PER_SPREAD = 1.5
# Images that tau is chosen by.
TAU_IMAGES = 2000

# Confidence: regroupings of so large a share of the images, some of them into more groups, and what these count.
REGROUPINGS, REGROUPED_SHARE = 16, 0.6
FINER_REGROUPINGS, FINER, FINER_SHARE = 5, 1.35, 0.3
# Images that confidence is measured with, at most.
REGROUPED_IMAGES = 10_000
# Examples of each known class that are always among these.
REGROUPED_EXAMPLES = 10

# After the first grouping, the nouns nearest to each group are the vocabulary, and the groups' own scatter whitens.
NOUNS_PER_GROUP = 3
ROUNDS = 2

# Corrections: rounds of the centers that learn from them; the weight of a group's center in those of images that were
# moved into it, which count 1; and the centers that such images have in one group, at most. 0.2 to 10 for the weight
# differ little where groups are kinds of things, and 10 teaches little where they are actions (docs/decisions/0140).
TEACHING_ROUNDS, TEACHING_PULL, MOVED_CENTERS = 10, 1.0, 20
