"""The summary of a store after a run: figures that Dagster plots over time, and what is worth telling somebody.

It is made where a result is published, in every run of the command line and of the daemon, and kept in a small file:
alerts read it in other processes, and what did not change is not looked at again. Nothing here imports Dagster.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from assets.clustering import cluster_ids
from assets.images import image_embeddings
from assets.orchestration.checks import CHECKS, Finding, drift, unreadable_images
from assets.results import assignments, clusters
from tac_pipeline.digest import digest
from tac_pipeline.errors import TacError
from tac_pipeline.files import write_atomically
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.schemas import CLUSTERS

SUMMARY_NAME = "summary.json"
# Raised when the figures change their meaning: summaries from before are made again.
_FORM = 1
_READ = (cluster_ids, assignments, clusters, image_embeddings)

Findings = Mapping[str, Finding]


@dataclass(frozen=True)
class Summary:
    """What a store holds after a run.

    Attributes
    ----------
    key : str
        Of what the figures were made from.
    numbers : dict
        Figures by what they are called in the UI.
    drift : str or None
        The sentence of the check, where new images do not fit.
    unreadable : str or None
        The sentence of the check; with the share in `numbers`. None in a grouping, which has no images of its own.
    held, upload : str or None
        Why the result is held back from readers, and why it did not reach those of another place.
    at : float
        Seconds since 1970.
    """

    key: str
    numbers: dict[str, float] = field(default_factory=dict)
    drift: str | None = None
    unreadable: str | None = None
    held: str | None = None
    upload: str | None = None
    at: float = 0.0


def summarize(
    project: Project, store: Store, *, held: str | None, upload: str | None, findings: Findings | None = None
) -> Summary:
    """Make the summary of the current result, and keep it; `findings` are those of the checks, where they are known."""
    artifacts = {step.name: current.artifact for step in _READ if (current := store.current(step.name)) is not None}
    key = digest([_FORM, {name: artifact.content for name, artifact in artifacts.items()}])
    made = read_summary(store)
    if made is None or made.key != key:
        made = _made(project, store, artifacts, key, findings)
    made = replace(made, held=held, upload=upload, at=time.time())
    write_atomically(store.telling_folder / SUMMARY_NAME, json.dumps(asdict(made), indent=1, ensure_ascii=False))
    return made


def read_summary(store: Store) -> Summary | None:
    """The summary of the last run that came to publishing; None where there is none."""
    try:
        return Summary(**json.loads((store.telling_folder / SUMMARY_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _made(
    project: Project, store: Store, artifacts: Mapping[str, Artifact], key: str, findings: Findings | None
) -> Summary:
    found = dict(findings or {})
    for step, look in CHECKS:
        if look in (drift, unreadable_images) and look.__name__ not in found and step.name in artifacts:
            # Where a check cannot look, its figures are left out; the check itself says why.
            with suppress(TacError):
                found[look.__name__] = look(artifacts[step.name], store)
    numbers = _sizes(artifacts) | _ids(artifacts) | _shares(found)
    moved = found.get(drift.__name__)
    read = found.get(unreadable_images.__name__) if project.owner_of(image_embeddings.name) is project else None
    return Summary(
        key,
        {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in numbers.items()},
        drift=moved.sentence if moved is not None and not moved.passed else None,
        unreadable=None if read is None else read.sentence,
    )


def _sizes(artifacts: Mapping[str, Artifact]) -> dict[str, float]:
    if clusters.name not in artifacts:
        return {}
    sizes = artifacts[clusters.name].frame(CLUSTERS, columns=["size"])["size"].to_numpy()
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return {"groups": 0}
    return {
        "groups": len(sizes),
        "images in groups": int(sizes.sum()),
        "largest group": int(sizes.max()),
        "median group": float(np.median(sizes)),
        "smallest group": int(sizes.min()),
        "share of the largest group": float(sizes.max() / sizes.sum()),
    }


def _ids(artifacts: Mapping[str, Artifact]) -> dict[str, float]:
    """What the last learning made of the ids before it."""
    facts = artifacts[cluster_ids.name].facts if cluster_ids.name in artifacts else {}
    if "kept" not in facts:
        return {}
    kept, gone = facts["kept"] + facts["grown"], facts["merged"] + facts["retired"]
    found = {"ids kept": kept, "ids born": facts["born"] + facts["split"], "ids gone": gone}
    return found | ({"share of ids kept": kept / (kept + gone)} if kept + gone else {})


def _shares(found: Mapping[str, Finding]) -> dict[str, float]:
    unread, moved = found.get(unreadable_images.__name__), found.get(drift.__name__)
    shares = {} if unread is None else {"share of unreadable images": unread.numbers["share"]}
    return shares | ({} if moved is None else _named(moved.numbers))


def _named(numbers: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "new images": "images newer than the groups",
        "share of new": "share of images newer than the groups",
        "share of outliers": "share of new images that fit no group",
        "confidence of new": "confidence of new images",
        "confidence of known": "confidence of training images",
    }
    return {told[name]: value for name, value in numbers.items() if name in told}
