"""Group images: from the source to one vector per image, and the training set that groups are learned from.

listed.py    the source and its images      labeled.py   labels, splits, and examples of known classes
embedded.py  vectors and their encoder      learned.py   the training set      sampled.py   how it is drawn
"""

from assets.images.embedded import (
    TRY_AGAIN_SECONDS,
    encoder_name,
    image_embeddings,
    load_encoder,
    observed_version,
    text_encoder_name,
)
from assets.images.labeled import (
    WITH_KNOWN,
    image_labels,
    image_splits,
    known_classes,
    known_labels,
    label_tables,
)
from assets.images.learned import training_set
from assets.images.listed import (
    IMAGE_STORE,
    forget_folders,
    image_manifest,
    list_source,
    not_images,
    open_project_source,
)
from assets.images.sampled import sample_images

__all__ = [
    "IMAGE_STORE",
    "TRY_AGAIN_SECONDS",
    "WITH_KNOWN",
    "encoder_name",
    "forget_folders",
    "image_embeddings",
    "image_labels",
    "image_manifest",
    "image_splits",
    "known_classes",
    "known_labels",
    "label_tables",
    "list_source",
    "load_encoder",
    "not_images",
    "observed_version",
    "open_project_source",
    "sample_images",
    "text_encoder_name",
    "training_set",
]
