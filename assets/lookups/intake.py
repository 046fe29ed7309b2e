"""What became of everything that a store's source holds, as the last run left it."""

from typing import TYPE_CHECKING

from assets.engine.execute import open_store
from assets.images import image_embeddings, image_manifest, not_images
from tac_pipeline.settings.project import Project
from tac_pipeline.store.schemas import IMAGE_EMBEDDINGS, IMAGE_MANIFEST

if TYPE_CHECKING:
    from tac_pipeline.results.intake import Intake


def intake_of(project: Project) -> "Intake | None":
    """The account of the last listing and reading; None before the first, or when a file of it is damaged."""
    from tac_pipeline.results.intake import Changes, take_stock

    store = open_store(project)
    listed, read = store.whole_current(image_manifest.name), store.whole_current(image_embeddings.name)
    if listed is None or read is None:
        return None
    others = not_images(listed.artifact)
    if others is None or "changes" not in read.artifact.facts:
        return None  # made by a version that did not count them
    return take_stock(
        listed.artifact.frame(IMAGE_MANIFEST, columns=["uri"]),
        read.artifact.frame(IMAGE_EMBEDDINGS, columns=["image_id", "error"]),
        *others,
        Changes(**read.artifact.facts["changes"]),
    )
