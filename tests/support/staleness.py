"""The assets downstream of an asset: what an edit makes stale."""

from assets.graph import STEPS

ALL = {step.name for step in STEPS}
RESULTS = {"corrections", "assignments", "clusters", "cluster_tree", "evaluation", "review", "report"}
MAP_DOWN = {"map_layout", "image_map", "report"}
HEADS_DOWN = {"cluster_heads", "cluster_ids", *RESULTS}
WEIGHT_DOWN = {"text_weight", "text_neighbors", "training_free_clusters", *HEADS_DOWN}
COUNTERPARTS_DOWN = {"text_counterparts", *WEIGHT_DOWN}
VOCABULARY_DOWN = {"noun_vocabulary", *COUNTERPARTS_DOWN}
SHORTLIST_DOWN = {"noun_shortlist", *VOCABULARY_DOWN}
CENTERS_DOWN = {"semantic_centers", *SHORTLIST_DOWN}
COUNT_DOWN = {"cluster_count", "image_kmeans", "image_neighbors", *CENTERS_DOWN}
# What a criterion shows the images to.
CRITERION_DOWN = {"whitening", *COUNT_DOWN}
TRAINING_SET_DOWN = {"training_set", "lessons", "whitening", *MAP_DOWN, *COUNT_DOWN}
EMBEDDINGS_DOWN = {"image_embeddings", *TRAINING_SET_DOWN}
NOUN_EMBEDDINGS_DOWN = {"noun_embeddings", *SHORTLIST_DOWN}
NEIGHBORS_DOWN = {"image_neighbors", *WEIGHT_DOWN}
# What the method decides, from the semantic centers and the whitening down.
METHOD_DOWN = {"whitening", "image_neighbors", "image_kmeans", *CENTERS_DOWN}
