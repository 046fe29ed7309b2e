"""Every Parquet schema of the project. What must stay out: how tables are written and read (parquet.py)."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from tac_pipeline.store.parquet import Column, TableSchema

_IMAGE_ID = Column("image_id", pa.string(), "path relative to the source, or the given id; unique in the store")
_NOUN = Column("noun", pa.string(), "the noun as prompts show it")
_PLACE = (
    Column("x", pa.float32(), "to the right, about 0 to 1"),
    Column("y", pa.float32(), "upwards, on the scale of x"),
)
_EMBEDDING = Column("embedding", None, "unit vector, float16")
_CONTENT_HASH = Column("content_hash", pa.string(), "sha256 of the image's bytes, or of the given vector")

IMAGE_MANIFEST = TableSchema(
    "image_manifest",
    (
        _IMAGE_ID,
        Column("uri", pa.string(), "where the image is read from"),
        Column("size", pa.int64(), "bytes, if the source says", nullable=True),
        Column("version", pa.string(), "time of change in ns and size, etag, or a digest of the bytes or the vector"),
    ),
    key="image_id",
    grows=True,
)
PASSED_OVER = TableSchema(
    "passed_over",
    (
        Column("path", pa.string(), "of a file or folder below the source"),
        Column("rule", pa.string(), "why it is not taken for an image: a suffix, or the rule"),
        Column("files", pa.int64(), "how many files the row stands for"),
    ),
)
PROBLEMS = TableSchema(
    "problems",
    (
        Column("path", pa.string(), "below the source, of what could not be looked at; known images below it are kept"),
        Column("reason", pa.string(), "what is wrong"),
    ),
)
ARCHIVE_MEMBERS = TableSchema(
    "archive_members",
    (
        Column("member", pa.string(), "path inside the archive; empty where the note is of the archive itself"),
        Column("offset", pa.int64(), "where an image's bytes begin in the archive; null for a problem", nullable=True),
        Column("size", pa.int64(), "bytes of an image, or how many members a rule passed over", nullable=True),
        Column("note", pa.string(), "null for an image; else the rule or the problem", nullable=True),
    ),
)
FOLDER_ROWS = TableSchema(
    "folder_rows",
    (
        Column("kind", pa.int8(), "what the row stands for: Kind in sources/walking/kept.py"),
        Column("path", pa.string(), "below the source"),
        Column("size", pa.int64(), "bytes of an image; files in a folder that is passed over", nullable=True),
        Column("version", pa.string(), "of an image; what tells that a folder is as it was", nullable=True),
        Column("note", pa.string(), "the rule that passes it over, or the problem", nullable=True),
    ),
)
VECTOR_ROWS = TableSchema(
    "vector_rows",
    (
        Column("row", pa.int64(), "of the file"),
        Column("image_id", pa.string(), "as it is written; null where there is none", nullable=True),
        Column("uri", pa.string(), "as it is written; the image_id where there is none", nullable=True),
        Column("version", pa.string(), "a digest of the vector"),
        Column("width", pa.int32(), "how many numbers it has; -1 where there is no vector"),
    ),
)
IMAGE_LABELS = TableSchema(
    "image_labels", (_IMAGE_ID, Column("label", pa.string(), "the truth, for evaluation only")), key="image_id"
)
FURTHER_LABELS = TableSchema(
    "further_labels",
    (
        _IMAGE_ID,
        Column("column", pa.string(), "of the source"),
        Column("label", pa.string(), "the truth by that column, for evaluation only"),
    ),
)
IMAGE_SPLITS = TableSchema(
    "image_splits", (_IMAGE_ID, Column("split", pa.string(), "such as train or test")), key="image_id"
)
KNOWN_LABELS = TableSchema(
    "known_labels",
    (_IMAGE_ID, Column("label", pa.string(), "the known class that it is an example of")),
    key="image_id",
)
EMBEDDING_SHARD = TableSchema(
    "embedding_shard",
    (
        _IMAGE_ID,
        Column("version", pa.string(), "of the manifest row that was read"),
        _CONTENT_HASH,
        Column("width", pa.int32(), "pixels; 0 when unknown"),
        Column("height", pa.int32(), "pixels; 0 when unknown"),
        Column("error", pa.string(), "why the image cannot be read", nullable=True),
        Column("note", pa.string(), "what was chosen to read it, such as a range of values", nullable=True),
        Column("embedding", None, "unit vector, float16; zero when the image cannot be read"),
    ),
    key="image_id",
    zero_vectors=True,
)
IMAGE_EMBEDDINGS = TableSchema(
    "image_embeddings",
    (
        _IMAGE_ID,
        _CONTENT_HASH,
        Column("width", pa.int32(), "pixels; 0 when unknown"),
        Column("height", pa.int32(), "pixels; 0 when unknown"),
        Column("error", pa.string(), "why the image cannot be read", nullable=True),
        Column("note", pa.string(), "what was chosen to read it, such as a range of values", nullable=True),
        Column("shard", pa.string(), "file that holds the vector, below shards/"),
        Column("row", pa.int32(), "row of that file"),
    ),
    key="image_id",
    grows=True,
)
TRAINING_SET = TableSchema("training_set", (_IMAGE_ID, _CONTENT_HASH, _EMBEDDING), key="image_id")
# Beside a training set that was drawn evenly (assets/images/sampled.py).
TRAINING_CELLS = TableSchema(
    "training_cells",
    (
        Column("cell", pa.int32(), "number of a coarse cell of the vectors"),
        _EMBEDDING,
        Column("images", pa.int64(), "images of the store in it, or of the splits to learn from"),
        Column("drawn", pa.int64(), "of which so many are in the training set"),
    ),
    key="cell",
)
TRAINING_WEIGHTS = TableSchema(
    "training_weights",
    (_IMAGE_ID, Column("weight", pa.float32(), "images of its cell for each that was drawn from it")),
    key="image_id",
)
TRAINING_ROWS = TableSchema("training_rows", (_IMAGE_ID, _CONTENT_HASH), key="image_id")
CANDIDATE_NOUNS = TableSchema(
    "candidate_nouns",
    (
        _NOUN,
        Column("synset", pa.string(), "its most frequent WordNet sense", nullable=True),
        Column("lexname", pa.string(), "that sense's WordNet file, such as noun.animal", nullable=True),
    ),
    key="noun",
)
OWN_WORDS = TableSchema(
    "own_words",
    (
        _NOUN,
        Column("weight", pa.float32(), "how much it is preferred as a name; 1 where nothing is said"),
        Column("never", pa.bool_(), "it is neither a candidate nor a name, in any spelling"),
    ),
    key="noun",
)
NOUN_EMBEDDINGS = TableSchema("noun_embeddings", (_NOUN, _EMBEDDING), key="noun")
CRITERION = TableSchema("criterion", (_NOUN, _EMBEDDING), key="noun")
CRITERION_VIEW = TableSchema(
    "criterion_view",
    (
        Column("direction", pa.int32(), "number of a direction that the criterion's words span"),
        Column("center", pa.float32(), "where along it images are seen from"),
        Column("weights", pa.list_(pa.float32()), "the direction, a unit vector as wide as the images'"),
    ),
    key="direction",
)
NOUN_SHORTLIST = TableSchema("noun_shortlist", (_NOUN, _EMBEDDING), key="noun")
NOUN_MEAN = TableSchema(
    "noun_mean",
    (
        Column("length", pa.float32(), "of the mean vector of all candidate nouns"),
        Column("embedding", None, "its direction, float16"),
    ),
)
PROMPTED_NOUNS = TableSchema(
    "prompted_nouns",
    (
        _NOUN,
        Column("prompts", pa.int32(), "how many of the templates, from the first, it is the mean of; 0: any"),
        Column("length", pa.float32(), "of that mean"),
        Column("embedding", None, "its direction, float16"),
    ),
)
CLUSTER_COUNT = TableSchema("cluster_count", (Column("count", pa.int32(), "K"),))
COUNT_EVIDENCE = TableSchema(
    "count_evidence",
    (
        Column("count", pa.int32(), "a K that was tried"),
        Column("stability", pa.float64(), "adjusted Rand index of K groups of two halves of the images"),
        Column("stability_gap", pa.float64(), "how far stability is above its value in vectors without groups"),
        Column("neighbors_gap", pa.float64(), "the same for the share of nearest images that are in one group"),
        Column("silhouette_gap", pa.float64(), "the same for the simplified silhouette"),
        Column("evidence", pa.float64(), "the sum of the three gaps; the largest K that is about the best is chosen"),
    ),
    key="count",
)
SEMANTIC_CENTERS = TableSchema(
    "semantic_centers", (Column("center", pa.int32(), "its number"), _EMBEDDING), key="center"
)
NOUN_VOCABULARY = TableSchema(
    "noun_vocabulary",
    (
        _NOUN,
        Column("center", pa.int32(), "the semantic center that owns the noun"),
        Column("confidence", pa.float32(), "softmax probability of that center"),
        _EMBEDDING,
    ),
    key="noun",
)
TEXT_COUNTERPARTS = TableSchema(
    "text_counterparts", (_IMAGE_ID, Column("embedding", None, "unit blend of nouns, float16")), key="image_id"
)
WHITENING = TableSchema(
    "whitening",
    (
        Column("direction", pa.int32(), "number of the image vectors' own direction"),
        Column("mean", pa.float32(), "of the training images along it"),
        Column("weights", pa.list_(pa.float32()), "what it counts along each direction of the whitened space"),
    ),
    key="direction",
)
NEIGHBORS = TableSchema(
    "neighbors",
    (_IMAGE_ID, Column("neighbors", pa.list_(pa.int32()), "rows of the training set, nearest first, itself excluded")),
    key="image_id",
)
TEXT_WEIGHT = TableSchema(
    "text_weight",
    (
        Column("weight", pa.float32(), "of the text; the image has 1; 0 means the images alone"),
        Column("together", pa.float32(), "how often an image and a near image share a cluster with this weight"),
    ),
    key="weight",
)
CLUSTER_ASSIGNMENT = TableSchema(
    "cluster_assignment", (_IMAGE_ID, Column("cluster", pa.int32(), "0 to K-1")), key="image_id"
)
LOSS_HISTORY = TableSchema(
    "loss_history",
    (
        Column("epoch", pa.int32(), "from 1"),
        Column("distillation", pa.float32(), "L_distill"),
        Column("confidence", pa.float32(), "L_confidence"),
        Column("balance", pa.float32(), "sum of both entropies, nats"),
        Column("total", pa.float32(), "what is minimized"),
    ),
    key="epoch",
)
CLUSTER_IDS = TableSchema(
    "cluster_ids",
    (
        Column("column", pa.int32(), "column of the image head"),
        Column("cluster_id", pa.int32(), "the lasting id"),
        Column("kept_name", pa.string(), "the name that the id had when these heads were new", nullable=True),
    ),
    key="column",
)
CORRECTIONS = TableSchema(
    "corrections",
    (
        Column("column", pa.int32(), "column of the image head"),
        Column("cluster_id", pa.int32(), "the lasting id, after merges by hand; merged columns have the same"),
        Column("kept_name", pa.string(), "the name that the id had when these heads were new", nullable=True),
        Column("given_name", pa.string(), "the name that people gave it", nullable=True),
        Column("curated", pa.bool_(), "people named it or merged others into it"),
    ),
    key="column",
)
PINS = TableSchema(
    "pins",
    (_IMAGE_ID, Column("cluster_id", pa.int32(), "where people want it, after merges by hand")),
    key="image_id",
)
BARRED = TableSchema(
    "barred",
    (_IMAGE_ID, Column("cluster_id", pa.int32(), "a cluster that it is not of, after merges by hand")),
)
LESSONS = TableSchema(
    "lessons",
    (
        _IMAGE_ID,
        _CONTENT_HASH,
        Column("cluster_id", pa.int32(), "the group that learning starts from"),
        Column("fixed", pa.int32(), "the group where people put or left it; null where nobody did", nullable=True),
    ),
    key="image_id",
)
LESSON_GROUPS = TableSchema(
    "lesson_groups",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        Column("merged_into", pa.int32(), "the id that it is one with; null for one that stays", nullable=True),
    ),
    key="cluster_id",
)
LOCKED = TableSchema(
    "locked",
    (_IMAGE_ID, Column("cluster_id", pa.int32(), "the locked group that it was in before this learning")),
    key="image_id",
)
CLUSTER_CENTERS = TableSchema(
    "cluster_centers",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        Column("embedding", None, "unit mean of its training images, float16"),
    ),
    key="cluster_id",
)
LINEAGE = TableSchema(
    "lineage",
    (
        Column("entry", pa.int32(), "of the ledger: each re-clustering is one, from 1"),
        Column("cluster_id", pa.int32(), "the lasting id"),
        Column("event", pa.string(), "kept, grown, split (from other_id), merged (into other_id), born or retired"),
        Column("other_id", pa.int32(), "the id that it was split from or merged into", nullable=True),
        Column("shared", pa.int64(), "training images, known before and after, that it kept, took or gave"),
        Column("images_before", pa.int64(), "training images that it had"),
        Column("images_after", pa.int64(), "training images that it has"),
    ),
)
LEDGER_IMAGES = TableSchema(
    "ledger_images",
    (
        Column("image", pa.uint64(), "digest of its image_id"),
        Column("content", pa.uint64(), "first half-word of its content_hash"),
        Column("cluster_id", pa.int32(), "where it was"),
    ),
)
ASSIGNMENTS = TableSchema(
    "assignments",
    (
        _IMAGE_ID,
        Column("cluster_id", pa.int32(), "null when the image cannot be read", nullable=True),
        Column("confidence", pa.float32(), "probability of that cluster", nullable=True),
        Column("runner_up", pa.int32(), "the second most probable cluster id", nullable=True),
        Column("similarity", pa.float32(), "cosine to the cluster's center; null when people moved it", nullable=True),
        Column("curated", pa.bool_(), "people said that it belongs there"),
        Column("margin", pa.float32(), "how clearly the cluster beats the runner-up: 0 even, 1 alone", nullable=True),
    ),
    key="image_id",
    grows=True,
)
VIEW_SUMS = TableSchema(
    "view_sums",
    (
        Column("images", pa.int64(), "of this segment of image_embeddings"),
        Column("unreadable", pa.int64(), "of them"),
        Column("noted", pa.int64(), "of the readable ones, those with a note"),
        Column("unreached", pa.int64(), "of the unreadable ones, those that may be reached another time"),
        Column("content", pa.string(), "a digest of image_ids and content hashes"),
    ),
)
SHARD_COUNTS = TableSchema(
    "shard_counts",
    (
        Column("shard", pa.string(), "file below shards/"),
        Column("count", pa.int64(), "images of this segment of image_embeddings in it"),
    ),
)
GROUP_SUMS = TableSchema(
    "group_sums",
    (
        Column("cluster_id", pa.int32(), "null for images that cannot be read", nullable=True),
        Column("images", pa.int64(), "of this segment in the cluster"),
        Column("confidence", pa.float64(), "the sum over them"),
        Column("curated", pa.int64(), "how many of them people put there"),
    ),
)
DRIFT_SUMS = TableSchema(
    "drift_sums",
    (
        Column("new", pa.int64(), "images in a cluster that are not of the training set"),
        Column("outliers", pa.int64(), "of them, how many are far out"),
        Column("confidence", pa.float64(), "the sum over the new ones"),
    ),
)
SHARD_ASSIGNMENTS = TableSchema(
    "shard_assignments",
    (
        Column("column", pa.int32(), "column of the image head; null when the image cannot be read", nullable=True),
        Column("confidence", pa.float32(), "its probability", nullable=True),
        Column("runner_up", pa.int32(), "the second most probable column", nullable=True),
        Column("similarity", pa.float32(), "cosine to the column's center", nullable=True),
        Column("margin", pa.float32(), "how clearly the column beats the runner-up", nullable=True),
    ),
)
_ALTERNATIVE_WEIGHTS = Column(
    "alternative_weights", pa.list_(pa.float32()), "share of its images' retrieval weight that each alternative has"
)
CLUSTERS = TableSchema(
    "clusters",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        Column("name", pa.string(), "what sets its members apart, no two alike; null when it has none", nullable=True),
        Column("alternatives", pa.list_(pa.string()), "four other nouns, best first, or all if there are fewer"),
        _ALTERNATIVE_WEIGHTS,
        Column("name_confidence", pa.float32(), "how sure the name is, 0 to 1; below 0.25 it says unnamed"),
        Column("curated", pa.bool_(), "people named it, merged others into it or pinned images to it"),
        Column("size", pa.int64(), "images of the whole store"),
        Column("share", pa.float64(), "of the store's readable images"),
        Column("confidence", pa.float32(), "mean over its images; null when it is empty", nullable=True),
        Column("medoids", pa.list_(pa.string()), "training images nearest to its center, at most nine"),
        Column("lineage", pa.string(), "how the id came to be"),
    ),
    key="cluster_id",
)
CLUSTER_TREE = TableSchema(
    "cluster_tree",
    (
        Column("node", pa.int32(), "0 to K-1 are the clusters, then the joins, lowest first; the last is the root"),
        Column("parent", pa.int32(), "the node directly above; null for the root", nullable=True),
        Column("cluster_id", pa.int32(), "the cluster; null for an inner node", nullable=True),
        Column("name", pa.string(), "of the cluster, or what the clusters below have in common"),
        Column("size", pa.int64(), "images of the whole store below it"),
        Column("n_clusters", pa.int32(), "clusters below it; 1 for a cluster"),
        Column("height", pa.float32(), "how far apart the two nodes that it joins are; 0 for a cluster"),
        Column("top_level", pa.bool_(), "in the cut to read first; every cluster is, or is below, one node of it"),
    ),
    key="node",
)
PUBLISHED_ASSIGNMENTS = TableSchema(
    "published_assignments",
    (
        _IMAGE_ID,
        Column("cluster_id", pa.int32(), "lasting id; null when the image cannot be read", nullable=True),
        Column("cluster_name", pa.string(), "the cluster's name; null when it has none", nullable=True),
        Column("confidence", pa.float32(), "probability of that cluster, 0 to 1", nullable=True),
        Column("runner_up", pa.int32(), "the second most probable cluster id", nullable=True),
        Column("similarity", pa.float32(), "cosine to its center, -1 to 1; null when people moved it", nullable=True),
        Column("curated", pa.bool_(), "people said that it belongs there; null in old versions", nullable=True),
    ),
    key="image_id",
)
PUBLISHED_CLUSTERS = TableSchema(
    "published_clusters",
    (
        Column("cluster_id", pa.int32(), "lasting id, never given to another cluster"),
        Column("name", pa.string(), "in words, no two alike; null when it has no members", nullable=True),
        Column("alternatives", pa.list_(pa.string()), "other nouns that fit, best first"),
        # Null after a rollback to a version from before these columns.
        replace(_ALTERNATIVE_WEIGHTS, nullable=True),
        Column(
            "name_confidence", pa.float32(), "how sure the name is, 0 to 1; below 0.25 it says unnamed", nullable=True
        ),
        Column("curated", pa.bool_(), "people named it, merged others into it or pinned images to it", nullable=True),
        Column("size", pa.int64(), "images"),
        Column("share", pa.float64(), "of the readable images, 0 to 1"),
        Column("confidence", pa.float32(), "mean over its images; null when it is empty", nullable=True),
        Column("medoids", pa.list_(pa.string()), "image_ids of its most typical images, at most nine"),
        Column("lineage", pa.string(), "what became of the id in the last re-clustering, in words"),
    ),
    key="cluster_id",
)
PUBLISHED_LINEAGE = TableSchema("published_lineage", LINEAGE.columns)
PUBLISHED_CHANGES = TableSchema(
    "published_changes",
    (
        _IMAGE_ID,
        Column("old_cluster_id", pa.int32(), "null: it was in no cluster", nullable=True),
        Column("new_cluster_id", pa.int32(), "null: it is in no cluster", nullable=True),
        Column("version", pa.int32(), "the published version that brought it"),
    ),
    key="image_id",
)
MAP_LAYOUT = TableSchema(
    "map_layout",
    (
        _IMAGE_ID,
        *_PLACE,
        _EMBEDDING,
    ),
    key="image_id",
)
IMAGE_MAP = TableSchema(
    "image_map",
    (
        _IMAGE_ID,
        _CONTENT_HASH,
        *_PLACE,
    ),
    key="image_id",
    grows=True,
)
_SIMILARITY_BIN = Column("bin", pa.int32(), "similarity in steps, rounded down (results/review/scales.py)")
SIMILARITY_COUNTS = TableSchema(
    "similarity_counts",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        _SIMILARITY_BIN,
        Column("images", pa.int64(), "of the cluster with this similarity to its center"),
    ),
)
HASH_KEYS = TableSchema("hash_keys", (Column("key", pa.int64(), "of a content hash of this segment; ascending"),))
NEAR_PAIRS = TableSchema(
    "near_pairs",
    (
        Column("left", pa.int64(), "key of a content hash"),
        Column("right", pa.int64(), "of another, which is larger"),
        Column("cosine", pa.float32(), "of their vectors, by their codes"),
    ),
)


def near_codes(width: int) -> TableSchema:
    """The schema of the codes of vectors of a width."""
    columns = (
        Column("cell", pa.int32(), "the rows are sorted by it, and by key"),
        Column("key", pa.int64(), "of a content hash"),
        Column("home", pa.bool_(), "whether it is the nearest cell, and not one nearby"),
        Column("code", pa.binary(width), "one byte for each number of the turned vector"),
    )
    return TableSchema("near_codes", columns, row_group_rows=8192, compressed=False)


ALIKE_IMAGES = TableSchema(
    "alike_images",
    (
        _IMAGE_ID,
        _CONTENT_HASH,
        Column("width", pa.int32(), "as in image_embeddings"),
        Column("height", pa.int32(), "as in image_embeddings"),
    ),
)
ALIKE_SIMILARITIES = TableSchema(
    "alike_similarities",
    (_IMAGE_ID, Column("similarity", pa.float32(), "as in assignments", nullable=True)),
)
_DUPLICATE_OF = Column(
    "duplicate_of",
    pa.string(),
    "the image that stands for its group: the largest, then the most typical; null for that one and without a group",
    nullable=True,
)
DUPLICATES = TableSchema(
    "duplicates",
    (_IMAGE_ID, Column("duplicate_group", pa.int32(), "as in the table review"), _DUPLICATE_OF),
    key="image_id",
)
REVIEW_SUMS = TableSchema(
    "review_sums",
    (
        Column("cluster_id", pa.int32(), "null when images cannot be read", nullable=True),
        Column("border", pa.int64(), "images of this segment on the border"),
        Column("outlier", pa.int64(), "images of this segment that are far out"),
    ),
)
_TO_SHOW = (
    Column("image_id", pa.string(), "of an image among the first of its kind in this segment"),
    Column("cluster_id", pa.int32(), "its cluster"),
    Column("runner_up", pa.int32(), "the second most probable cluster id", nullable=True),
    Column("similarity", pa.float32(), "cosine to the cluster's center", nullable=True),
    Column("margin", pa.float32(), "how clearly the cluster beats the runner-up", nullable=True),
)
FARTHEST = TableSchema("farthest", _TO_SHOW)
CLOSEST = TableSchema("closest", _TO_SHOW)
REVIEW = TableSchema(
    "review",
    (
        _IMAGE_ID,
        Column("cluster_id", pa.int32(), "null when the image cannot be read", nullable=True),
        Column("typicality", pa.float32(), "share of its cluster that is no nearer to the center", nullable=True),
        Column("margin", pa.float32(), "how clearly its cluster beats the runner-up: 0 even, 1 alone", nullable=True),
        Column("border", pa.bool_(), "the margin is below review.border_margin"),
        Column("outlier", pa.bool_(), "it is farther out than review.outlier_deviations allows"),
        Column("duplicate_group", pa.int32(), "from 0, largest first; null when no image is like it", nullable=True),
        _DUPLICATE_OF,
    ),
    key="image_id",
    grows=True,
)
CLUSTER_NOUNS = TableSchema(
    "cluster_nouns",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        _NOUN,
        Column("weight", pa.float32(), "mean retrieval weight over its training images, 0 to 1"),
    ),
)
PAGE_ROWS = TableSchema(
    "page_rows",
    (
        *REVIEW.columns,
        Column("confidence", pa.float32(), "as in assignments", nullable=True),
        Column("runner_up", pa.int32(), "as in assignments", nullable=True),
        _CONTENT_HASH,
        Column("width", pa.int32(), "as in image_embeddings"),
        Column("height", pa.int32(), "as in image_embeddings"),
        Column("uri", pa.string(), "as in image_manifest"),
        *_PLACE,
    ),
)
MAP_SAMPLE = TableSchema(
    "map_sample", (_IMAGE_ID, *_PLACE, Column("cluster_id", pa.int32(), "as in assignments", nullable=True))
)
REPORT_PICTURES = TableSchema(
    "report_pictures",
    (
        _CONTENT_HASH,
        Column("picture", pa.binary(), "the square picture that the page shows, WebP"),
    ),
    key="content_hash",
)
EVALUATION = TableSchema(
    "evaluation",
    (
        Column("result", pa.string(), "image_kmeans, training_free or trained"),
        Column("rows", pa.string(), "training_set or whole_store"),
        Column("split", pa.string(), "of which only the images were scored; null = all", nullable=True),
        Column("labels", pa.string(), "what the labels are: folder, or the column of the source"),
        Column("labeled_images", pa.int64(), "images that were scored"),
        Column("classes", pa.int64(), "of these images"),
        Column("clusters", pa.int64(), "of these images"),
        Column("nmi", pa.float64(), "normalized mutual information, 0 to 1"),
        Column("acc", pa.float64(), "accuracy under the best one-to-one matching, 0 to 1"),
        Column("ari", pa.float64(), "adjusted Rand index"),
        Column("ami", pa.float64(), "mutual information above chance"),
        Column("homogeneity", pa.float64(), "1 where each group has images of one class alone"),
        Column("completeness", pa.float64(), "1 where the images of each class are in one group"),
        Column("many_to_one", pa.float64(), "accuracy where each group stands for its commonest class"),
        Column("recall", pa.float64(), "mean over classes of the share in the class's group, by the matching of acc"),
    ),
)
