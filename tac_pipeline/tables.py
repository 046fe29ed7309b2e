"""Every Parquet schema of the project, and the one way to write and read a table.

A table is validated when it is written, so readers deal in plain arrays. Vectors lie as float16 in fixed-size lists,
uncompressed and without dictionaries (so that reading runs at the disk's speed), and the file's own metadata says
which encoder made them, how wide they are and that they are unit vectors. What must stay out: paths of artifacts and
versions (store.py).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tac_pipeline.errors import ArtifactDamaged, EncoderError, InputError
from tac_pipeline.method.arrays import FloatMatrix, unit_rows

# What float16 can round off a unit vector's length; anything beyond is a mistake upstream.
UNIT_TOLERANCE = 5e-3
ROW_GROUP_ROWS = 65_536

SCHEMA_KEY, ENCODER_KEY, DIM_KEY, NORM_KEY = b"tac.schema", b"tac.encoder", b"tac.dim", b"tac.norm"

# The encoder of vectors that somebody else computed and whose file does not name one.
UNSTATED_ENCODER = "unstated"


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type (None marks the embedding, whose width the data gives) and its meaning."""

    name: str
    type: pa.DataType | None
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A table's columns, and the column whose values are unique."""

    name: str
    columns: tuple[Column, ...]
    key: str | None = None

    @property
    def vector_column(self) -> str | None:
        """The embedding column, if the table has one."""
        return next((column.name for column in self.columns if column.type is None), None)

    def arrow(self, dim: int | None) -> pa.Schema:
        """The Arrow schema for embeddings of width dim."""
        return pa.schema(
            [
                pa.field(column.name, column.type or pa.list_(pa.float16(), dim or 1), nullable=column.nullable)
                for column in self.columns
            ]
        )


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
        Column("size", pa.int64(), "bytes, where the source tells", nullable=True),
        Column("version", pa.string(), "time of change in ns and size, etag, or a digest of the bytes or the vector"),
    ),
    key="image_id",
)
ARCHIVE_MEMBERS = TableSchema(
    "archive_members",
    (
        Column("member", pa.string(), "path of an image inside the archive"),
        Column("offset", pa.int64(), "bytes before its own"),
        Column("size", pa.int64(), "bytes"),
    ),
    key="member",
)
IMAGE_LABELS = TableSchema(
    "image_labels", (_IMAGE_ID, Column("label", pa.string(), "the truth, for evaluation alone")), key="image_id"
)
EMBEDDING_SHARD = TableSchema(
    "embedding_shard",
    (
        _IMAGE_ID,
        Column("version", pa.string(), "of the manifest row that was read"),
        _CONTENT_HASH,
        Column("width", pa.int32(), "pixels; 0 where unknown"),
        Column("height", pa.int32(), "pixels; 0 where unknown"),
        Column("error", pa.string(), "why the image cannot be read", nullable=True),
        Column("embedding", None, "unit vector, float16; zero where the image cannot be read"),
    ),
    key="image_id",
)
IMAGE_EMBEDDINGS = TableSchema(
    "image_embeddings",
    (
        _IMAGE_ID,
        _CONTENT_HASH,
        Column("width", pa.int32(), "pixels; 0 where unknown"),
        Column("height", pa.int32(), "pixels; 0 where unknown"),
        Column("error", pa.string(), "why the image cannot be read", nullable=True),
        Column("shard", pa.string(), "file that holds the vector, below shards/"),
        Column("row", pa.int32(), "row of that file"),
    ),
    key="image_id",
)
TRAINING_SET = TableSchema("training_set", (_IMAGE_ID, _CONTENT_HASH, _EMBEDDING), key="image_id")
CANDIDATE_NOUNS = TableSchema(
    "candidate_nouns",
    (
        _NOUN,
        Column("synset", pa.string(), "its most frequent WordNet sense", nullable=True),
        Column("lexname", pa.string(), "that sense's WordNet file, such as noun.animal", nullable=True),
    ),
    key="noun",
)
NOUN_EMBEDDINGS = TableSchema("noun_embeddings", (_NOUN, _EMBEDDING), key="noun")
CLUSTER_COUNT = TableSchema("cluster_count", (Column("count", pa.int32(), "K"),))
COUNT_EVIDENCE = TableSchema(
    "count_evidence",
    (
        Column("count", pa.int32(), "a K that was tried"),
        Column("held_out", pa.float64(), "mean cosine of images to the nearest of K centers that never saw them"),
        Column("excess", pa.float64(), "how far that stands above its chord over log K; K is where this is largest"),
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
NEIGHBORS = TableSchema(
    "neighbors",
    (_IMAGE_ID, Column("neighbors", pa.list_(pa.int32()), "rows of the training set, nearest first, itself excluded")),
    key="image_id",
)
TEXT_WEIGHT = TableSchema(
    "text_weight",
    (
        Column("weight", pa.float32(), "of the text beside the image's 1; 0 is the images alone"),
        Column("together", pa.float32(), "how often an image and one of its nearest share a cluster under it"),
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
        Column("shared", pa.int64(), "training images known before and after that it kept, took or gave"),
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
        Column("cluster_id", pa.int32(), "null where the image cannot be read", nullable=True),
        Column("confidence", pa.float32(), "probability of that cluster", nullable=True),
        Column("runner_up", pa.int32(), "the second most probable cluster id", nullable=True),
        Column("similarity", pa.float32(), "cosine to the cluster's center; null where people moved it", nullable=True),
        Column("curated", pa.bool_(), "people said that it belongs there"),
        Column("margin", pa.float32(), "how clearly the cluster beats the runner-up: 0 even, 1 alone", nullable=True),
    ),
    key="image_id",
)
SHARD_ASSIGNMENTS = TableSchema(
    "shard_assignments",
    (
        Column("column", pa.int32(), "column of the image head; null where the image cannot be read", nullable=True),
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
        Column("name", pa.string(), "what sets its members apart, no two alike; null where it has none", nullable=True),
        Column("alternatives", pa.list_(pa.string()), "four other nouns, best first, or all where there are fewer"),
        _ALTERNATIVE_WEIGHTS,
        Column("name_confidence", pa.float32(), "how sure the name is, 0 to 1; below 0.25 it says unnamed"),
        Column("curated", pa.bool_(), "people named it, merged others into it or pinned images to it"),
        Column("size", pa.int64(), "images of the whole store"),
        Column("share", pa.float64(), "of the store's readable images"),
        Column("confidence", pa.float32(), "mean over its images; null where it is empty", nullable=True),
        Column("medoids", pa.list_(pa.string()), "training images nearest to its center, at most nine"),
        Column("lineage", pa.string(), "how the id came to be"),
    ),
    key="cluster_id",
)
CLUSTER_TREE = TableSchema(
    "cluster_tree",
    (
        Column("node", pa.int32(), "0 to K-1 are the clusters, then one for each join by height; the last is the root"),
        Column("parent", pa.int32(), "the node right above; null for the root", nullable=True),
        Column("cluster_id", pa.int32(), "the cluster; null for an inner node", nullable=True),
        Column("name", pa.string(), "of the cluster, or what the clusters below have in common"),
        Column("size", pa.int64(), "images of the whole store below it"),
        Column("n_clusters", pa.int32(), "clusters below it; 1 for a cluster"),
        Column("height", pa.float32(), "how far apart the two nodes that it joins are; 0 for a cluster"),
        Column("top_level", pa.bool_(), "whether it is of the cut to read first; every cluster lies below one that is"),
    ),
    key="node",
)
PUBLISHED_ASSIGNMENTS = TableSchema(
    "published_assignments",
    (
        _IMAGE_ID,
        Column("cluster_id", pa.int32(), "lasting id; null where the image cannot be read", nullable=True),
        Column("cluster_name", pa.string(), "the cluster's name; null where it has none", nullable=True),
        Column("confidence", pa.float32(), "probability of that cluster, 0 to 1", nullable=True),
        Column("runner_up", pa.int32(), "the second most probable cluster id", nullable=True),
        Column("similarity", pa.float32(), "cosine to its center, -1 to 1; null where people moved it", nullable=True),
        Column("curated", pa.bool_(), "people said that it belongs there; null before that was kept", nullable=True),
    ),
    key="image_id",
)
PUBLISHED_CLUSTERS = TableSchema(
    "published_clusters",
    (
        Column("cluster_id", pa.int32(), "lasting id, never given to another cluster"),
        Column("name", pa.string(), "in words, no two alike; null where it has no members", nullable=True),
        Column("alternatives", pa.list_(pa.string()), "other nouns that fit, best first"),
        # Null in what is rolled back to from before these were kept.
        replace(_ALTERNATIVE_WEIGHTS, nullable=True),
        Column(
            "name_confidence", pa.float32(), "how sure the name is, 0 to 1; below 0.25 it says unnamed", nullable=True
        ),
        Column("curated", pa.bool_(), "people named it, merged others into it or pinned images to it", nullable=True),
        Column("size", pa.int64(), "images"),
        Column("share", pa.float64(), "of the readable images, 0 to 1"),
        Column("confidence", pa.float32(), "mean over its images; null where it is empty", nullable=True),
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
)
REVIEW = TableSchema(
    "review",
    (
        _IMAGE_ID,
        Column("cluster_id", pa.int32(), "null where the image cannot be read", nullable=True),
        Column("typicality", pa.float32(), "share of its cluster that is no nearer to the center", nullable=True),
        Column("margin", pa.float32(), "how clearly its cluster beats the runner-up: 0 even, 1 alone", nullable=True),
        Column("border", pa.bool_(), "the margin is below review.border_margin"),
        Column("outlier", pa.bool_(), "it lies farther out than review.outlier_deviations allows"),
        Column("duplicate_group", pa.int32(), "from 0, largest first; null where nothing equals it", nullable=True),
    ),
    key="image_id",
)
CLUSTER_NOUNS = TableSchema(
    "cluster_nouns",
    (
        Column("cluster_id", pa.int32(), "the lasting id"),
        _NOUN,
        Column("weight", pa.float32(), "mean retrieval weight over its training images, 0 to 1"),
    ),
)
REPORT_PICTURES = TableSchema(
    "report_pictures",
    (
        _CONTENT_HASH,
        Column("picture", pa.binary(), "the square that the page shows, WebP"),
    ),
    key="content_hash",
)
EVALUATION = TableSchema(
    "evaluation",
    (
        Column("result", pa.string(), "image_kmeans, training_free or trained"),
        Column("rows", pa.string(), "training_set or whole_store"),
        Column("labeled_images", pa.int64(), "images that were scored"),
        Column("nmi", pa.float64(), "normalized mutual information, 0 to 1"),
        Column("acc", pa.float64(), "accuracy under the best one-to-one matching, 0 to 1"),
        Column("ari", pa.float64(), "adjusted Rand index"),
    ),
)


def write_table(path: Path, schema: TableSchema, columns: Mapping[str, Any], *, encoder: str | None = None) -> pa.Table:
    """Validate columns against a schema and write them as Parquet.

    Parameters
    ----------
    columns : mapping of column name to sequence, Arrow or numpy array; the embedding is float (n_rows, dim), unit rows
    encoder : str, optional
        Fingerprint of the encoder; required where the schema has an embedding.

    Raises
    ------
    InputError
        A column is missing or unknown, lengths differ, a key repeats, a value is null where none may be, or vectors
        are not finite unit vectors.
    """
    names = [column.name for column in schema.columns]
    if set(columns) != set(names):
        raise InputError(f"table {schema.name} must have the columns {names}; got {sorted(columns)}")
    metadata = {SCHEMA_KEY: schema.name.encode()}
    dim = None
    vectors = columns[schema.vector_column] if schema.vector_column else None
    if vectors is not None:
        if encoder is None:
            raise InputError(f"table {schema.name} holds vectors: writing it takes the encoder's fingerprint")
        dim = vectors.shape[1]
        metadata |= {ENCODER_KEY: encoder.encode(), DIM_KEY: str(dim).encode(), NORM_KEY: b"unit"}
    arrow_schema = schema.arrow(dim)
    arrays = [
        _vector_array(vectors, schema) if vectors is not None and field.name == schema.vector_column
        else _array(columns[field.name], field, schema)
        for field in arrow_schema
    ]  # fmt: skip
    if len({len(array) for array in arrays}) > 1:
        lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
        raise InputError(f"table {schema.name} must have columns of one length; got {lengths}")
    table = pa.Table.from_arrays(arrays, schema=arrow_schema.with_metadata(metadata))
    _require_unique(table, schema)
    pq.write_table(
        table, path, row_group_size=ROW_GROUP_ROWS, compression=_compression(schema), use_dictionary=False,
        write_statistics=schema.vector_column is None,
    )  # fmt: skip
    return table


def place_table(path: Path, schema: TableSchema, columns: Mapping[str, Any], *, encoder: str | None = None) -> None:
    """Like write_table, and readers see the whole file, on the disk, or none; makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        write_table(aside, schema, columns, encoder=encoder)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


def read_table(path: Path, schema: TableSchema, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table that write_table wrote, or some of its columns.

    Raises
    ------
    ArtifactDamaged
        Not Parquet, cut short, or not a table of this schema.
    """
    try:
        table = pq.read_table(path, columns=list(columns) if columns else None, memory_map=True)
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise ArtifactDamaged(f"{path} must be a Parquet file with the table {schema.name}: {error}") from error
    metadata = table.schema.metadata or {}
    found = metadata.get(SCHEMA_KEY, b"").decode()
    if found != schema.name:
        raise ArtifactDamaged(f"{path} must hold the table {schema.name}; it says {found or 'nothing'}")
    return table


def vectors_of(table: pa.Table, name: str = "embedding") -> FloatMatrix:
    """The embedding column as float32 (n_rows, dim), unit rows (zero rows stay zero).

    Raises
    ------
    ArtifactDamaged
        The width differs from what the table's metadata says, or the vectors are not marked as unit vectors.
    """
    metadata = table.schema.metadata or {}
    width = table.schema.field(name).type.list_size
    if metadata.get(DIM_KEY) != str(width).encode() or metadata.get(NORM_KEY) != b"unit":
        raise ArtifactDamaged(
            f"an embedding column must match its file's metadata; got width {width} "
            f"and metadata dim={metadata.get(DIM_KEY)!r}, norm={metadata.get(NORM_KEY)!r}"
        )
    return unit_rows(matrix_of(table.column(name)))


def matrix_of(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column of fixed-size lists as (n_rows, width), in its own float type."""
    # .flatten() and not .values: the latter ignores slices.
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = np.concatenate(parts) if parts else np.empty(0, dtype=np.float16)
    return flat.reshape(-1, column.type.list_size)


def matrix_of_lists(column: pa.ChunkedArray, *, where: str) -> np.ndarray[Any, Any]:
    """A column of lists of one width, fixed-size or not, as a matrix (n_rows, width).

    Raises
    ------
    InputError
        Not lists of numbers, a null, or rows of different width.
    """
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"{where} must hold lists of numbers; got {kind}")
    if column.null_count:
        first = column.is_null().index(True).as_py()
        raise InputError(
            f"{where} must not be null; {column.null_count} of {len(column)} rows are, the first is row {first}"
        )
    if pa.types.is_fixed_size_list(kind):
        return matrix_of(column)
    widths = pc.list_value_length(column).to_numpy()
    if len(np.unique(widths)) > 1:
        odd = int(np.flatnonzero(widths != widths[0])[0])
        raise InputError(f"{where} must have one width; row 0 has {widths[0]}, row {odd} has {widths[odd]}")
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    return flat.reshape(len(column), widths[0])


def encoder_of(table: pa.Table) -> str:
    """The fingerprint of the encoder that made the table's vectors."""
    return str((table.schema.metadata or {}).get(ENCODER_KEY, UNSTATED_ENCODER.encode()).decode())


def require_same_encoder(images: str, nouns: str) -> None:
    """Raise EncoderError when two stated encoders differ: their vectors lie in different spaces."""
    if UNSTATED_ENCODER not in (images, nouns) and images != nouns:
        raise EncoderError(
            f"image and noun vectors must come from the same encoder; the images' is {images}, the nouns' is {nouns}. "
            "Set `encoder` to the one that made the given vectors, or embed both here."
        )


def _compression(schema: TableSchema) -> str:
    return "none" if schema.vector_column else "zstd"


def _array(values: Any, field: pa.Field, schema: TableSchema) -> pa.Array:
    try:
        array = values if isinstance(values, pa.Array) else _combined(values)
        array = array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{schema.name}.{field.name} must be {field.type}: {error}") from error
    if array.null_count and not field.nullable:
        raise InputError(f"{schema.name}.{field.name} must not be null; {array.null_count} of {len(array)} are")
    return array


def _combined(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    return pa.array(values)


def _vector_array(vectors: FloatMatrix, schema: TableSchema) -> pa.Array:
    lengths = np.linalg.norm(vectors, axis=1)
    # NaN and infinity fail this comparison too. Unreadable images hold a zero vector in their shard.
    fine = np.abs(lengths - 1) < UNIT_TOLERANCE
    if schema is EMBEDDING_SHARD:
        fine |= lengths == 0
    if not fine.all():
        bad = np.flatnonzero(~fine)
        raise InputError(
            f"{schema.name}.{schema.vector_column} must hold finite unit vectors; "
            f"{len(bad)} of {len(vectors)} are not, the first is row {bad[0]} with length {lengths[bad[0]]:.4g}"
        )
    halves = np.ascontiguousarray(vectors, dtype=np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(halves.reshape(-1)), halves.shape[1])


def _require_unique(table: pa.Table, schema: TableSchema) -> None:
    if schema.key is None:
        return
    column = table.column(schema.key)
    if pc.count_distinct(column).as_py() == len(column):
        return
    counts = column.value_counts()
    repeated = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1)).field("values").to_pylist()
    shown = ", ".join(repr(value) for value in repeated[:3])
    raise InputError(f"{schema.name}.{schema.key} must be unique; {len(repeated)} values repeat: {shown}")
